"""Finds files of equal content, byte for byte."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from swtformer.datasets.files import opened
from swtformer.errors import DataError

_END_BYTES = 1 << 16


def equal_files(files: Iterable[Path]) -> list[list[Path]]:
    """Groups of two files or more with equal content, each in the order given.

    Files are compared by size, then by their ends, and only those that agree so far are read in full. Those
    that cannot be read are left out.
    """
    groups = [list(files)]
    for key in (_size, _ends, _content):
        groups = [part for group in groups for part in _divided(group, key)]
    return groups


def _divided(files: Iterable[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    """The files that share their key with another file, by key."""
    by_key: dict[object, list[Path]] = defaultdict(list)
    for file in files:
        try:
            by_key[key(file)].append(file)
        except (DataError, OSError):
            continue
    return [group for group in by_key.values() if len(group) > 1]


def _size(file: Path) -> int:
    return os.stat(file).st_size


def _ends(file: Path) -> bytes:
    with opened(file) as stream:
        start = stream.read(_END_BYTES)
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _END_BYTES))
        return hashlib.sha256(start + stream.read(_END_BYTES)).digest()


def _content(file: Path) -> bytes:
    with opened(file) as stream:
        return hashlib.file_digest(stream, "sha256").digest()
