import io
import struct
import zlib

import pytest
from PIL import Image

from swtformer.datasets.containers import exif_orientation, jpeg_header, require_all_rows, require_whole


def exif_block(order: str, *, tag: int = 0x0112, kind: int = 3, value: int = 6) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    other = struct.pack(f"{order}HHII", 0x0100, 4, 1, 99)
    wanted = struct.pack(f"{order}HHIHH", tag, kind, 1, value, 0)
    return mark + struct.pack(f"{order}HIH", 42, 8, 2) + other + wanted + b"\0\0\0\0"


def segment(code: int, payload: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(payload) + 2) + payload


FRAME = segment(0xC0, struct.pack(">BHHB", 8, 30, 40, 3) + bytes(9))
SCAN = segment(0xDA, bytes(10))


def header(*segments: bytes):
    return jpeg_header(io.BytesIO(b"\xff\xd8" + b"".join(segments)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_orientation_is_read_in_both_byte_orders(order, prefix):
    assert exif_orientation(prefix + exif_block(order)) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"not EXIF at all",
        exif_block("<")[:20],
        exif_block("<", tag=0x0113),
        exif_block("<", kind=2),
        exif_block("<", value=9),
        exif_block("<", value=0),
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_exif_without_a_usable_orientation_means_as_stored(block):
    assert exif_orientation(block) == 1


def test_jpeg_header_skips_other_segments_and_fill_bytes():
    found = header(segment(0xE1, b"http://ns.adobe.com/xap"), b"\xff\xff\xff", FRAME, b"\xff\x01", SCAN)
    assert (found.height, found.width, found.components, found.orientation) == (30, 40, 3, 1)


def test_jpeg_header_reads_the_orientation_behind_the_frame_too():
    assert header(FRAME, segment(0xE1, b"Exif\0\0" + exif_block(">")), SCAN).orientation == 6


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([FRAME], "cut off or damaged"),
        ([SCAN], "does not give its size"),
        ([segment(0xC0, b"\x08\0")], "cut off"),
        ([b"\xff\xc0\0\1", SCAN], "damaged"),
        ([b"\xff\xd9"], "damaged"),
        ([b"\xff\0"], "cut off or damaged"),
        ([b"abc", FRAME, SCAN], "cut off or damaged"),
    ],
)
def test_damaged_jpeg_headers_are_refused(segments, message):
    with pytest.raises(ValueError, match=message):
        header(*segments)


def test_png_checksum_names_the_part():
    chunk = struct.pack(">I4s", 3, b"tEXt") + b"abc" + b"\0\0\0\0"
    with pytest.raises(ValueError, match="the checksum of its part 'tEXt' is wrong"):
        require_whole(b"\x89PNG\r\n\x1a\n" + chunk, "PNG")


def test_unknown_gif_block_is_refused():
    with pytest.raises(ValueError, match="unknown block"):
        require_whole(b"GIF89a" + bytes(7) + b"\x77", "GIF")


def test_formats_without_checks_pass():
    require_whole(b"", "PPM")


def png(rows: int, *, bits: int = 8, colour: int = 0, interlaced: bool = False, missing: int = 0) -> bytes:
    """A black PNG of 11 columns whose pixels are short of some bytes."""

    def part(kind: bytes, content: bytes) -> bytes:
        length, checksum = len(content), zlib.crc32(kind + content)
        return length.to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")

    values = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = ["0088", "0488", "4084", "0244", "2042", "0122", "1021"] if interlaced else ["0011"]
    raw = b""
    for top, left, down, across in (map(int, each) for each in passes):
        columns = len(range(left, 11, across))
        line = bytes(1 + -(-columns * bits * values // 8)) if columns else b""
        raw += line * len(range(top, rows, down))
    packed = zlib.compress(raw[: len(raw) - missing])
    header = struct.pack(">IIBBBBB", 11, rows, bits, colour, 0, 0, interlaced)
    palette = part(b"PLTE", bytes(6)) if colour == 3 else b""
    body = part(b"IDAT", packed[:5]) + part(b"IDAT", packed[5:])
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + palette + body + part(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 9])
@pytest.mark.parametrize(("bits", "colour"), [(8, 0), (1, 0), (16, 2), (4, 3), (8, 4), (8, 6)])
def test_a_png_that_lacks_a_byte_of_its_rows_is_refused(bits, colour, rows, interlaced):
    whole = png(rows, bits=bits, colour=colour, interlaced=interlaced)
    require_whole(whole, "PNG")
    require_all_rows(whole)
    Image.open(io.BytesIO(whole)).load()
    short = png(rows, bits=bits, colour=colour, interlaced=interlaced, missing=1)
    require_whole(short, "PNG")
    with pytest.raises(ValueError, match="its last rows are missing"):
        require_all_rows(short)


def test_damaged_pixels_of_a_png_are_refused():
    whole = png(3)
    with pytest.raises(ValueError, match="its pixels are damaged"):
        require_all_rows(whole.replace(b"IDAT\x78", b"IDAT\x79"))
