"""Shards that tests write."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_tar(path: Path, members: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> Path:
    """A tar file of members by name, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def tar_members(path: Path | bytes) -> dict[str, bytes]:
    """Members of a tar file by name, in order."""
    content = path if isinstance(path, bytes) else path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], features: str = "") -> Path:
    """A Parquet file, with the features of a Hugging Face data set."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(dict(columns))
    parquet.write_table(table.replace_schema_metadata({"huggingface": features} if features else None), path)
    return path
