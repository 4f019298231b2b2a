"""Reads the headers of image files, and checks that the files are complete.

Pillow decodes PNGs without verifying their checksums, and GIF and WebP without their end.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_ORIENTATION_TAG = 0x0112
_SHORT = 3
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_APP1 = 0xE1
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column of each pass of an interlaced PNG, and its steps down and across."""
_PART_BYTES = 2**20
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG says before its first scan.

    Attributes:
        height: rows of the stored pixel grid.
        width: columns of the stored pixel grid.
        components: 1 grey, 3 colour, 4 inks (CMYK or YCCK).
        orientation: EXIF orientation, 1 to 8.
    """

    height: int
    width: int
    components: int
    orientation: int


def jpeg_header(stream: IO[bytes]) -> JpegHeader:
    """Read a JPEG's header, segment by segment, without decoding pixels.

    Args:
        stream: at any position, of a file that opens with `JPEG_SIGNATURE`.

    Raises:
        ValueError: the header is cut off or damaged.
    """
    frame: tuple[int, int, int] | None = None
    orientation = 1
    for marker, start, end in jpeg_segments(stream):
        if marker in _FRAMES and frame is None:
            segment = stream.read(end - start)
            if len(segment) < 6:
                raise ValueError("its header is cut off")
            frame = struct.unpack_from(">xHHB", segment)
        elif marker == _APP1 and orientation == 1:
            segment = stream.read(end - start)
            if segment.startswith(b"Exif\0\0"):
                orientation = exif_orientation(segment)
    if frame is None:
        raise ValueError("its header does not give its size")
    height, width, components = frame
    return JpegHeader(height, width, components, orientation)


def jpeg_segments(stream: IO[bytes]) -> Iterator[tuple[int, int, int]]:
    """Segments before the first scan of a JPEG: marker, and where the content starts and ends.

    When a segment is yielded, the stream is at its content; at the end it is after the marker of the scan.

    Args:
        stream: at any position, of a file that opens with `JPEG_SIGNATURE`.

    Raises:
        ValueError: the header is cut off or damaged.
    """
    stream.seek(2)
    while (marker := _next_marker(stream)) != _START_OF_SCAN:
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(stream.read(2), "big")
        if marker == _END_OF_IMAGE or length < 2:
            raise ValueError("its header is damaged")
        start = stream.tell()
        end = start + length - 2
        yield marker, start, end
        stream.seek(end)


def _next_marker(stream: IO[bytes]) -> int:
    if stream.read(1) != b"\xff":
        raise ValueError("its header is cut off or damaged")
    while (code := stream.read(1)) == b"\xff":  # any number of fill bytes may precede a marker
        pass
    if code in (b"", b"\0"):
        raise ValueError("its header is cut off or damaged")
    return code[0]


def exif_orientation(exif: bytes) -> int:
    """Orientation (1 to 8) of an EXIF block; 1 (as stored) if the block is damaged or has none.

    Pillow's own reading of EXIF data warns about the many slightly broken blocks that cameras write.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
        for position in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, position)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # the block ends early, which does not affect the pixels
        return 1
    return 1


def require_whole(data: bytes, format: str) -> None:
    """Check that a file is complete, by the format's own lengths, end marks and checksums.

    PNG has a checksum for every part, so any flipped bit is found. In the other formats only the lengths
    can be checked; the rest is up to the decoder.

    Args:
        data: the whole file.
        format: Pillow's name of its format; nothing is checked for formats without lengths or checksums.

    Raises:
        ValueError: something is missing or damaged; the message says what.
    """
    if format in _CHECKS:
        _CHECKS[format](data)


def _require_whole_png(data: bytes) -> None:
    position = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ValueError("it is cut off")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ValueError("it is cut off")
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[position + 4 : end]) != checksum:
            raise ValueError(f"the checksum of its part {kind.decode('latin-1')!r} is wrong")
        position = end + 4


def require_all_rows(data: bytes) -> None:
    """Check that a PNG that is whole holds all rows of pixels. Pillow leaves those that are missing black.

    This takes nearly the time of decoding.

    Raises:
        ValueError: rows are missing, or they are damaged.
    """
    width, height, bits, colour, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits *= {2: 3, 4: 2, 6: 4}.get(colour, 1)
    missing = 0
    for top, left, down, across in _ADAM7 if is_interlaced else ((0, 0, 1, 1),):
        rows, columns = -(-(height - top) // down), -(-(width - left) // across)
        if rows > 0 and columns > 0:
            missing += rows * (1 + (columns * bits + 7) // 8)
    stream = zlib.decompressobj()
    position = len(PNG_SIGNATURE)
    try:
        while missing > 0 and position < len(data):
            length, kind = struct.unpack_from(">I4s", data, position)
            packed = data[position + 8 : position + 8 + length] if kind == b"IDAT" else b""
            while missing > 0 and (part := stream.decompress(packed, _PART_BYTES)):
                missing -= len(part)
                packed = stream.unconsumed_tail
            position += 12 + length
    except zlib.error as error:
        raise ValueError(f"its pixels are damaged ({error})") from None
    if missing > 0:
        raise ValueError("its last rows are missing")


def _require_whole_gif(data: bytes) -> None:
    try:
        position = 13 + _gif_palette_bytes(data[10])
        while (block := data[position]) != 0x3B:
            if block == 0x21:
                position += 2
            elif block == 0x2C:
                position += 11 + _gif_palette_bytes(data[position + 9])
            else:
                raise ValueError("it holds an unknown block")
            while data[position]:
                position += 1 + data[position]
            position += 1
    except IndexError:
        raise ValueError("it is cut off") from None


def _gif_palette_bytes(flags: int) -> int:
    return int(3 << ((flags & 7) + 1)) if flags & 0x80 else 0


def _require_whole_webp(data: bytes) -> None:
    if 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise ValueError("it is cut off")


def _require_whole_bmp(data: bytes) -> None:
    if int.from_bytes(data[2:6], "little") > len(data):
        raise ValueError("it is cut off")


def _require_whole_boxes(data: bytes) -> None:
    """Check the boxes of JPEG 2000, AVIF and HEIC: none may end after the file, and none may be cut off."""
    position = 0
    while position < len(data):
        header = data[position : position + 16]
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:  # the rest of the file
            length = len(data) - position
        if length < 8 or position + length > len(data):
            raise ValueError("it is cut off")
        if header[4:8] == b"jp2c" and not data[position : position + length].endswith(_END_OF_CODESTREAM):
            raise ValueError("it is cut off")
        position += length


def _require_whole_jpeg_2000(data: bytes) -> None:
    if not data.startswith(b"\xff\x4f"):
        _require_whole_boxes(data)
    elif not data.endswith(_END_OF_CODESTREAM):
        raise ValueError("it is cut off")


_END_OF_CODESTREAM = b"\xff\xd9"

_CHECKS: dict[str, Callable[[bytes], None]] = {
    "PNG": _require_whole_png,
    "GIF": _require_whole_gif,
    "WEBP": _require_whole_webp,
    "BMP": _require_whole_bmp,
    "JPEG2000": _require_whole_jpeg_2000,
    "AVIF": _require_whole_boxes,
    "HEIF": _require_whole_boxes,
}
