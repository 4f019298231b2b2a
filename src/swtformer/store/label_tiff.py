"""Label images with a place on the earth: palette TIFFs that are written some rows at a time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from swtformer.errors import SwtformerError
from swtformer.store.files import write_with
from swtformer.store.masks import voc_palette

STRIP_ROWS = 64
"""Rows that are compressed together."""

_SHORT, _LONG, _ASCII, _DOUBLE = 3, 4, 2, 12
_FORMATS = {_SHORT: "H", _LONG: "I", _ASCII: "s", _DOUBLE: "d"}
_KINDS = {33550: _DOUBLE, 33922: _DOUBLE, 34264: _DOUBLE, 34735: _SHORT, 34736: _DOUBLE, 34737: _ASCII}
"""Types of the tags that place an image on the earth."""
_MAX_BYTES = 2**32 - 2**20


def write_label_tiff(
    path: Path, rows: Iterable[np.ndarray], *, size: tuple[int, int], georeference: Mapping[int, Any]
) -> None:
    """Write a label image atomically, in the colours of PASCAL VOC, compressed, without holding it in memory.

    Args:
        path: the file.
        rows: the image from top to bottom in parts of any number of rows, each (rows, W) uint8.
        size: (height, width) of the whole.
        georeference: tags to copy from the image, by their numbers (see `_KINDS`).

    Raises:
        SwtformerError: the file cannot be written.
    """
    write_with(path, lambda stream: _write(stream, rows, size, georeference))


def _write(
    stream: IO[bytes], rows: Iterable[np.ndarray], size: tuple[int, int], georeference: Mapping[int, Any]
) -> None:
    height, width = size
    stream.write(b"II*\0" + bytes(4))
    offsets, counts = [], []
    for strip in _strips(rows):
        packed = zlib.compress(np.ascontiguousarray(strip).tobytes(), 6)
        offsets.append(stream.tell())
        counts.append(len(packed))
        stream.write(packed)
        if stream.tell() > _MAX_BYTES:
            raise SwtformerError("The mask takes more than 4 GB; cut the scene into tiles.")
    colours = voc_palette().astype(np.uint16).T.reshape(-1) * 257
    tags: dict[int, tuple[int, Any]] = {
        256: (_LONG, (width,)),
        257: (_LONG, (height,)),
        258: (_SHORT, (8,)),
        259: (_SHORT, (8,)),  # deflate
        262: (_SHORT, (3,)),  # palette
        273: (_LONG, offsets),
        277: (_SHORT, (1,)),
        278: (_LONG, (STRIP_ROWS,)),
        279: (_LONG, counts),
        320: (_SHORT, colours.tolist()),
    }
    tags |= {tag: (_KINDS[tag], value) for tag, value in georeference.items()}
    _write_directory(stream, tags)


def _strips(rows: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """The same rows in parts of `STRIP_ROWS`; the last may have fewer."""
    waiting: list[np.ndarray] = []
    count = 0
    for part in rows:
        waiting.append(part)
        count += len(part)
        if count >= STRIP_ROWS:
            joined = np.concatenate(waiting)
            whole = count // STRIP_ROWS * STRIP_ROWS
            for start in range(0, whole, STRIP_ROWS):
                yield joined[start : start + STRIP_ROWS]
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)


def _write_directory(stream: IO[bytes], tags: Mapping[int, tuple[int, Any]]) -> None:
    entries = []
    for tag, (kind, value) in sorted(tags.items()):
        content = value if kind == _ASCII else struct.pack(f"<{len(value)}{_FORMATS[kind]}", *value)
        if len(content) > 4:
            stream.write(bytes(stream.tell() % 2))
            place = struct.pack("<I", stream.tell())
            stream.write(content)
        else:
            place = content.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", tag, kind, len(value)) + place)
    stream.write(bytes(stream.tell() % 2))
    start = stream.tell()
    stream.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    stream.seek(4)
    stream.write(struct.pack("<I", start))
    stream.seek(0, 2)
