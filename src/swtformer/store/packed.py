"""Results of a shard's images as one file: a tar with the naming of WebDataset, or Parquet."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from swtformer.store.shard_names import PARQUET

KEY = "__key__"
"""Column of the keys, as Hugging Face's library calls that of a WebDataset."""
ROWS = 64
"""Rows that are in memory at once."""

Files = Iterable[tuple[str, Mapping[str, bytes]]]
"""Key of each image, and the content of its files by ending, such as "png"."""


def pack(files: Files, path: Path, endings: Sequence[str]) -> None:
    """Write one shard; equal files make equal bytes.

    Args:
        files: members <key>.<ending> of a tar, or rows.
        path: what to write; its extension says what it becomes.
        endings: all that may occur: the columns of a Parquet file, empty where an image has no such file.
    """
    if path.suffix == PARQUET:
        _pack_parquet(files, path, endings)
    else:
        _pack_tar(files, path)


def _pack_tar(files: Files, path: Path) -> None:
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for key, contents in files:
            for ending, content in contents.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _pack_parquet(files: Files, path: Path, endings: Sequence[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = [pyarrow.field(KEY, pyarrow.string())]
    columns += [pyarrow.field(ending, pyarrow.binary()) for ending in endings]
    schema = pyarrow.schema(columns)
    # The files are compressed already.
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        remaining = iter(files)
        while rows := [{KEY: key, **contents} for key, contents in islice(remaining, ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
