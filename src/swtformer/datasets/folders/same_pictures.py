"""Finds files of equal content, byte for byte."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from swtformer.datasets.files import opened
from swtformer.errors import DataError

Item = TypeVar("Item")

_END_BYTES = 1 << 16


def equal_files(items: Iterable[Item], file: Callable[[Item], Path]) -> list[list[Item]]:
    """Groups of two items or more whose files have equal content, each in the order given.

    Files are compared by size, then by their ends, and only those that agree so far are read in full. Those
    that cannot be read are left out.
    """
    groups = [list(items)]
    for key in (_size, _ends, _content):
        groups = [part for group in groups for part in _divided(group, file, key)]
    return groups


def _divided(
    items: Iterable[Item], file: Callable[[Item], Path], key: Callable[[Path], object]
) -> list[list[Item]]:
    """The items whose files share their key with another one, by key."""
    by_key: dict[object, list[Item]] = defaultdict(list)
    for item in items:
        try:
            by_key[key(file(item))].append(item)
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
