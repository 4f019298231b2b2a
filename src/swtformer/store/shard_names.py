"""What names say of shards; light enough for the command line to import at once."""

from __future__ import annotations

from pathlib import PurePosixPath

TAR, PARQUET = ".tar", ".parquet"


def is_shard(name: str) -> bool:
    """Whether a file counts as a shard."""
    return PurePosixPath(name).suffix in (TAR, PARQUET)


def is_address(text: str) -> bool:
    """Whether a text is an address such as ``s3://bucket/photos`` and no path on this machine."""
    return "://" in text
