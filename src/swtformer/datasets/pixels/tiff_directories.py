"""Reads the directories of TIFF files: size, bands, type and pages, without decoding pixels.

Classic and BigTIFF, both byte orders. Pillow refuses files of several bands or uncommon types as a whole, so
a message could not even say what they hold.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import IO, Any

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
ORIENTATION, SAMPLES, PLANAR, PREDICTOR = 274, 277, 284, 317
EXTRA_SAMPLES, SAMPLE_FORMAT, GDAL_NODATA = 338, 339, 42113
SUBFILE_TYPE = 254
STRIPS, TILES = (273, 279), (324, 325)
STRIP_ROWS, TILE_ROWS = 278, 323
GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737)
"""Tags that place an image on the earth: pixel scale, tie points, transformation, and GeoTIFF's keys."""

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2
"""Meanings of an extra sample; the last two are alpha."""

PHOTOMETRICS = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELAB",
    9: "CIELAB",
    10: "CIELAB",
    32803: "a raw colour filter array",
    34892: "linear raw",
}

_PAGES = 100_000
_MOST_SHARED = 16
"""Values of tags for each byte of the file; directories may share theirs, but not so that memory runs out."""
_READ = {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, ORIENTATION, SAMPLES, PLANAR, PREDICTOR}
_READ |= {SUBFILE_TYPE, EXTRA_SAMPLES, SAMPLE_FORMAT, GDAL_NODATA, *STRIPS, *TILES, *GEOREFERENCE}
_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_CODES |= {13: "I", 16: "Q", 17: "q", 18: "Q"}
_KINDS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF file, by its tags.

    Attributes:
        tags: value of each tag by its number: bytes, or a tuple of numbers.
    """

    tags: Mapping[int, Any]

    def _one(self, tag: int, default: int) -> int:
        values = self.tags.get(tag) or (default,)
        return int(values[0])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the stored pixel grid."""
        return self._one(HEIGHT, 0), self._one(WIDTH, 0)

    @property
    def bands(self) -> int:
        """Samples per pixel."""
        return self._one(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Bits of the deepest band."""
        return max(self.tags.get(BITS) or (1,))

    @property
    def kind(self) -> str:
        """Type of the values: "uint", "int", "float", "complex int", "complex" or "unknown"."""
        return _KINDS.get(self._one(SAMPLE_FORMAT, 1), "unknown")

    @property
    def photometric(self) -> int:
        """What the values mean: `WHITE_IS_ZERO`, `BLACK_IS_ZERO`, `RGB`, `PALETTE` or another."""
        return self._one(PHOTOMETRIC, BLACK_IS_ZERO)

    @property
    def extra(self) -> tuple[int, ...]:
        """Meanings of the bands beyond the colours, as far as the file gives them."""
        return tuple(self.tags.get(EXTRA_SAMPLES) or ())

    @property
    def orientation(self) -> int:
        """EXIF orientation, 1 to 8."""
        value = self._one(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1

    @property
    def compression(self) -> int:
        """Number of the compression."""
        return self._one(COMPRESSION, 1)

    @property
    def is_by_pixel(self) -> bool:
        """Whether all bands of a pixel lie together, rather than all pixels of a band."""
        return self._one(PLANAR, 1) == 1

    @property
    def is_part(self) -> bool:
        """Whether it is a smaller version or a mask of another page."""
        return bool(self._one(SUBFILE_TYPE, 0) & 0b101)

    @property
    def nodata(self) -> float | None:
        """GDAL's value of pixels without data."""
        try:
            return float(self.tags[GDAL_NODATA].rstrip(b"\0 ").decode("ascii"))
        except (KeyError, ValueError, AttributeError):
            return None

    @property
    def planes(self) -> int:
        """Planes that ImageJ says follow the first, which it may write without directories; 1 if none."""
        words = self.tags.get(DESCRIPTION, b"")
        if not isinstance(words, bytes) or not words.startswith(b"ImageJ="):
            return 1
        for line in words.rstrip(b"\0").splitlines():
            name, _, number = line.partition(b"=")
            if name == b"images" and number.isdigit():
                return int(number)
        return 1

    @property
    def is_tiled(self) -> bool:
        """Whether it is stored in tiles rather than in strips."""
        return TILES[0] in self.tags

    @property
    def segment_rows(self) -> int:
        """Rows of a strip, or of a tile."""
        return max(1, self._one(TILE_ROWS if self.is_tiled else STRIP_ROWS, self.size[0]))

    @cached_property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(offset, bytes) of each strip or tile."""
        return tuple(
            pair
            for offsets, counts in (STRIPS, TILES)
            for pair in zip(self.tags.get(offsets, ()), self.tags.get(counts, ()), strict=False)
        )

    def __str__(self) -> str:
        """Bands and type, such as "8 bands of uint16"."""
        what = PHOTOMETRICS.get(self.photometric, f"photometric {self.photometric}")
        bands = "1 band" if self.bands == 1 else f"{self.bands} bands"
        return f"{bands} of {self.kind}{self.bits} ({what})"


def read_directories(stream: IO[bytes]) -> list[Directory]:
    """The directories of a TIFF file in order; sub-images are left out.

    Args:
        stream: at any position.

    Raises:
        ValueError: a directory or a value of a tag is cut off, or the file holds none.
    """
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    is_big = start[2:4] in (b"+\0", b"\0+")
    directories: list[Directory] = []
    try:
        (place,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", start, 8 if is_big else 4)
        seen: set[int] = set()
        values = 0
        while place and place not in seen and len(seen) < _PAGES:
            seen.add(place)
            tags, place = _read_directory(stream, place, order, is_big, size)
            directories.append(Directory(tags))
            values += sum(map(len, tags.values()))
            if values > _MOST_SHARED * size:
                raise ValueError("its directories claim more than it holds")
    except struct.error:
        raise ValueError("it is cut off") from None
    if not directories:
        raise ValueError("it holds no image")
    return directories


def _read_directory(
    stream: IO[bytes], place: int, order: str, is_big: bool, size: int
) -> tuple[dict[int, Any], int]:
    """Tags of a directory and the place of the next one."""
    count_code, entry_bytes, inline = ("Q", 20, 8) if is_big else ("H", 12, 4)
    place_code = "Q" if is_big else "I"
    stream.seek(place)
    (entries,) = struct.unpack(order + count_code, stream.read(struct.calcsize(order + count_code)))
    block = stream.read(entries * entry_bytes) if entries * entry_bytes < size else b""
    if len(block) < entries * entry_bytes:
        raise ValueError("it is cut off")
    end = stream.read(inline)
    (following,) = struct.unpack(order + place_code, end) if len(end) == inline else (0,)
    tags: dict[int, Any] = {}
    for tag, kind, count, field in _entries(block, order, place_code, entry_bytes, inline):
        code = _CODES.get(kind)
        if code is None:
            continue
        length = count * struct.calcsize(order + code)
        if length > inline:
            (where,) = struct.unpack(order + place_code, field)
            if where + length > size:
                raise ValueError("it is cut off")
            if tag not in _READ:
                continue
            stream.seek(where)
            field = stream.read(length)
        content = field[:length]
        tags[tag] = content if code == "s" else _numbers(order, code, count, content)
    return tags, following


def _entries(
    block: bytes, order: str, place_code: str, entry_bytes: int, inline: int
) -> Iterator[tuple[int, int, int, bytes]]:
    for start in range(0, len(block), entry_bytes):
        tag, kind, count = struct.unpack_from(f"{order}HH{place_code}", block, start)
        yield tag, kind, count, block[start + entry_bytes - inline : start + entry_bytes]


def _numbers(order: str, code: str, count: int, content: bytes) -> tuple[float, ...]:
    values = struct.unpack(f"{order}{count * len(code)}{code[0]}", content)
    if len(code) == 1:
        return values
    return tuple(
        top / bottom if bottom else math.nan for top, bottom in zip(values[::2], values[1::2], strict=True)
    )


def pages(directories: list[Directory]) -> list[Directory]:
    """The directories that are pages of their own, without smaller versions and masks of other pages.

    Pyramids that do not mark their smaller versions are known by sizes: each half, within a pixel, of the
    one before it.
    """
    whole = [each for each in directories if not each.is_part] or directories[:1]
    sizes = [each.size for each in whole]
    is_pyramid = len(sizes) > 1 and all(
        max(abs(2 * small - large) for small, large in zip(after, before, strict=True)) <= 2
        for before, after in pairwise(sizes)
    )
    return whole[:1] if is_pyramid else whole
