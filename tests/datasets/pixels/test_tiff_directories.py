"""TIFF directories: bytes that are packed by hand, and files of tifffile and Pillow."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from swtformer.datasets.pixels import tiff_directories as tiff
from swtformer.datasets.pixels.tiff_directories import Directory, pages, read_directories

Entry = tuple[int, int, int, bytes]
"""Tag, type, number of values, and their bytes."""

FORMS = [("<", False), (">", False), ("<", True), (">", True)]
"""Byte orders of classic and BigTIFF."""

LONG = tiff.GEOREFERENCE[0]
"""A tag whose values are read wherever they lie."""


def packed(*directories: list[Entry], order: str = "<", big: bool = False) -> bytes:
    """A file of directories, each followed by the values that do not fit into its entries."""
    place, count, inline = ("Q", "Q", 8) if big else ("I", "H", 4)
    start = {"<": b"II", ">": b"MM"}[order]
    start += struct.pack(f"{order}3H", 43, 8, 0) if big else struct.pack(f"{order}H", 42)
    content = start + struct.pack(order + place, len(start) + inline)
    for index, entries in enumerate(directories):
        head = struct.pack(order + count, len(entries))
        end = len(content) + len(head) + len(entries) * (4 + 2 * inline) + inline
        block, values = b"", b""
        for tag, kind, number, value in entries:
            block += struct.pack(f"{order}HH{place}", tag, kind, number)
            if len(value) > inline:
                block += struct.pack(order + place, end + len(values))
                values += value
            else:
                block += value.ljust(inline, b"\0")
        following = end + len(values) if index + 1 < len(directories) else 0
        content += head + block + struct.pack(order + place, following) + values
    return content


def read(content: bytes, **options: Any) -> list[Directory]:
    return read_directories(io.BytesIO(content), **options)


def short(tag: int, value: int) -> Entry:
    return tag, 3, 1, struct.pack("<H", value)


def test_every_byte_of_a_small_file() -> None:
    content = bytes.fromhex(
        "49492a00 0a000000 ffff"  # "II", 42, the directory lies at 10; two bytes that nothing names
        "0400"  # four entries
        "0001 0300 01000000 07000000"  # width: one short, 7
        "0101 0400 01000000 05000000"  # height: one long, 5
        "0201 0300 03000000 40000000"  # bits: three shorts at 64
        "1501 0300 01000000 03000000"  # samples: one short, 3
        "00000000"  # no directory follows; this is byte 60
        "0800 1000 0c00"  # 8, 16, 12
    )
    (directory,) = read(content)
    assert directory.tags == {256: (7,), 257: (5,), 258: (8, 16, 12), 277: (3,)}
    assert (directory.size, directory.bands, directory.bits) == ((5, 7), 3, 16)
    stream = io.BytesIO(content)
    stream.seek(33)
    assert read_directories(stream) == [directory]


@pytest.mark.parametrize(("order", "big"), FORMS)
@pytest.mark.parametrize(
    ("kind", "code", "numbers", "expected"),
    [
        (1, "5B", (1, 2, 3, 4, 255), None),
        (3, "5H", (1, 2, 3, 4, 65535), None),
        (4, "3I", (1, 2, 2**32 - 1), None),
        (5, "4I", (1, 2, 6, 4), (0.5, 1.5)),
        (6, "2b", (-128, 127), None),
        (8, "5h", (-1, 2, 3, 4, -(2**15)), None),
        (9, "1i", (-(2**31),), None),
        (10, "4i", (-1, 2, 3, -4), (-0.5, -0.75)),
        (11, "1f", (0.25,), None),
        (12, "2d", (0.1, -1e300), None),
        (13, "1I", (2**31,), None),
        (16, "1Q", (2**63,), None),
        (17, "2q", (-1, 2**62), None),
        (18, "1Q", (2**40,), None),
        (3, "0H", (), None),
    ],
)
def test_every_type_in_every_form(
    order: str, big: bool, kind: int, code: str, numbers: tuple[float, ...], expected: Any
) -> None:
    expected = numbers if expected is None else expected
    entry = LONG, kind, len(expected), struct.pack(order + code, *numbers)
    (directory,) = read(packed([entry], order=order, big=big))
    assert directory.tags == {LONG: expected}


@pytest.mark.parametrize(("order", "big"), FORMS)
def test_text_and_directories_in_order(order: str, big: bool) -> None:
    texts = [b"a\0", b"exactly8", b"longer than an entry\0"]
    content = packed(
        *([(270, 2, len(text), text), (LONG, 7, 3, b"\1\2\3")] for text in texts), order=order, big=big
    )
    assert [each.tags for each in read(content)] == [{270: text, LONG: b"\1\2\3"} for text in texts]
    assert content.startswith(tiff.SIGNATURES[FORMS.index((order, big))])


def test_a_fraction_over_0_is_no_number() -> None:
    (directory,) = read(packed([(LONG, 5, 2, struct.pack("<4I", 1, 0, 1, 4))]))
    assert np.isnan(directory.tags[LONG][0])
    assert directory.tags[LONG][1] == 0.25


def test_unknown_types_and_long_values_of_other_tags_are_passed_over() -> None:
    entries = [(256, 99, 1, b"\1"), short(257, 3), (60000, 1, 9, bytes(9)), (60001, 1, 2, b"\4\5")]
    assert read(packed(entries))[0].tags == {257: (3,), 60001: (4, 5)}


def test_long_values_of_tags_that_count_are_read() -> None:
    tags = [256, 257, 258, 259, 262, 270, 274, 277, 284, 317, 254, 338, 339, 42113, 273, 279, 324, 325]
    for tag in (*tags, 33550, 33922, 34264, 34735, 34736, 34737):
        assert read(packed([(tag, 7, 9, b"nine byte")]))[0].tags == {tag: b"nine byte"}


def test_a_circle_of_directories_ends() -> None:
    content = packed([short(256, 1)], [short(256, 2)])
    back = content[:-4] + struct.pack("<I", 8)
    assert [each.size[1] for each in read(back)] == [1, 2]


def test_the_end_of_the_last_directory_may_be_missing() -> None:
    content = packed([short(256, 6)])
    for missing in range(5):
        assert [each.size for each in read(content[: len(content) - missing])] == [(0, 6)]
    with pytest.raises(ValueError, match="cut off"):
        read(content[:-5])


@pytest.mark.parametrize(("order", "big"), FORMS)
def test_a_file_that_is_cut_off_anywhere_is_refused(order: str, big: bool) -> None:
    content = packed([(LONG, 4, 3, bytes(12))], [(LONG, 7, 12, bytes(12))], order=order, big=big)
    assert len(read(content)) == 2
    for length in range(len(content)):
        with pytest.raises(ValueError, match="cut off"):
            read(content[:length])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed([(LONG, 4, 2**30, b"")]), "cut off"),
        (packed([(60000, 4, 2**30, b"")]), "cut off"),
        (packed([(LONG, 4, 2**60, b"")], big=True), "cut off"),
        (b"II*\0\x08\0\0\0\xff\xff" + bytes(99), "cut off"),
        (b"II*\0\xff\xff\xff\xff" + bytes(99), "cut off"),
        (b"II*\0" + bytes(99), "holds no image"),
        (b"MM\0+\0\x08\0\0" + bytes(99), "holds no image"),
    ],
)
def test_values_and_directories_that_are_not_there(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(content)


def sharing(directories: int, values: int) -> bytes:
    """Directories of 18 bytes each that all name the same bytes at the end."""
    end = 8 + 18 * directories
    content = b"II*\0" + struct.pack("<I", 8)
    for index in range(directories):
        following = 8 + 18 * (index + 1) if index + 1 < directories else 0
        content += struct.pack("<HHHIII", 1, LONG, 1, values, end, following)
    return content + bytes(values)


def test_directories_may_share_values_but_not_without_end() -> None:
    # 20 times 1000 values of 1368 bytes are 14.6 a byte; 30 times 1000 of 1548 are 19.4.
    assert len(read(sharing(20, 1000))) == 20
    with pytest.raises(ValueError, match="claim more than it holds"):
        read(sharing(30, 1000))


def test_defaults_of_a_directory_without_tags() -> None:
    bare = Directory({})
    assert (bare.size, bare.bands, bare.bits, bare.kind) == ((0, 0), 1, 1, "uint")
    assert (bare.photometric, bare.compression, bare.orientation) == (tiff.BLACK_IS_ZERO, 1, 1)
    assert (bare.extra, bare.nodata, bare.planes, bare.segments) == ((), None, 1, ())
    assert (bare.is_by_pixel, bare.is_part, bare.is_tiled, bare.segment_rows) == (True, False, False, 1)
    empty = Directory({tiff.BITS: (), tiff.SAMPLES: (), tiff.EXTRA_SAMPLES: ()})
    assert (empty.bits, empty.bands, empty.extra) == (1, 1, ())


@pytest.mark.parametrize(
    ("tags", "name", "expected"),
    [
        ({339: (4,)}, "kind", "unknown"),
        ({339: (5,)}, "kind", "complex int"),
        ({339: (6,)}, "kind", "complex"),
        ({338: (0, 2)}, "extra", (tiff.UNSPECIFIED, tiff.STRAIGHT)),
        ({274: (8,)}, "orientation", 8),
        ({274: (9,)}, "orientation", 1),
        ({274: (0,)}, "orientation", 1),
        ({259: (50000,)}, "compression", 50000),
        ({284: (2,)}, "is_by_pixel", False),
        ({254: (1,)}, "is_part", True),  # a smaller version
        ({254: (2,)}, "is_part", False),  # a page of several
        ({254: (4,)}, "is_part", True),  # a mask
        ({42113: b"-9999\0"}, "nodata", -9999.0),
        ({42113: b"1e3 \0"}, "nodata", 1000.0),
        ({42113: b"none\0"}, "nodata", None),
        ({42113: b"\xb2"}, "nodata", None),
        ({42113: (7,)}, "nodata", None),
        ({270: b"ImageJ=1.5\nchannels=2\nimages=6\0"}, "planes", 6),
        ({270: b"ImageJ=1.5\nimages=six\0"}, "planes", 1),
        ({270: b"images=6\0"}, "planes", 1),
        ({270: (7,)}, "planes", 1),
        ({257: (9,)}, "segment_rows", 9),
        ({257: (9,), 278: (4,)}, "segment_rows", 4),
        ({257: (9,), 278: (4,), 323: (16,), 324: (8,)}, "segment_rows", 16),
        ({278: (0,)}, "segment_rows", 1),
        ({273: (8, 20), 279: (12, 5)}, "segments", ((8, 12), (20, 5))),
        ({324: (8, 20), 325: (12,)}, "segments", ((8, 12),)),
    ],
)
def test_what_tags_say(tags: dict[int, Any], name: str, expected: object) -> None:
    assert getattr(Directory(tags), name) == expected


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, "1 band of uint1 (grey)"),
        ({277: (8,), 258: (16,) * 8, 262: (2,)}, "8 bands of uint16 (RGB)"),
        ({277: (2,), 258: (8, 32), 339: (3,), 262: (77,)}, "2 bands of float32 (photometric 77)"),
    ],
)
def test_bands_and_type_in_words(tags: dict[int, Any], words: str) -> None:
    assert str(Directory(tags)) == words


def sized(*sizes: tuple[int, int]) -> list[Directory]:
    return [Directory({257: (height,), 256: (width,)}) for height, width in sizes]


@pytest.mark.parametrize(
    ("sizes", "is_pyramid"),
    [
        ([(100, 80), (50, 40), (25, 20)], True),
        ([(101, 81), (50, 41)], True),
        ([(100, 80), (51, 39)], True),
        ([(101, 80), (52, 40)], False),
        ([(100, 80), (48, 40)], False),
        ([(100, 80), (50, 80)], False),
        ([(100, 80), (50, 40), (50, 40)], False),
        ([(100, 80), (100, 80)], False),
        ([(50, 40), (100, 80)], False),
    ],
)
def test_a_pyramid_is_known_by_its_halves(sizes: list[tuple[int, int]], is_pyramid: bool) -> None:
    directories = sized(*sizes)
    assert pages(directories) == (directories[:1] if is_pyramid else directories)


def test_parts_are_no_pages_unless_there_is_nothing_else() -> None:
    (first, second), small, mask = sized((9, 9), (9, 9)), Directory({254: (1,)}), Directory({254: (4,)})
    assert pages([first, small, second, mask]) == [first, second]
    assert pages([small, mask]) == [small]
    assert pages([]) == []


@pytest.mark.parametrize(("order", "big"), FORMS)
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_files_of_tifffile(tmp_path: Path, order: str, big: bool, tile: tuple[int, int] | None) -> None:
    path = tmp_path / "a.tif"
    values = np.arange(40 * 50 * 4, dtype=np.int16).reshape(40, 50, 4)
    shared = {"photometric": "rgb", "extrasamples": ["assocalpha"], "tile": tile}
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as writer:
        writer.write(values, subifds=1, **shared, rowsperstrip=None if tile else 7)
        writer.write(values[::2, ::2], subfiletype=1, **shared)
        writer.write(values[:, :, 0], photometric="minisblack", planarconfig=None, compression="deflate")
    with path.open("rb") as stream, tifffile.TiffFile(path) as file:
        found = read_directories(stream)
        assert [each.size for each in found] == [(40, 50), (40, 50)]  # one without its smaller version
        for ours, theirs in zip(found, file.pages, strict=True):
            assert ours.segments == tuple(zip(theirs.dataoffsets, theirs.databytecounts, strict=True))
            assert (ours.bands, ours.bits, ours.kind) == (theirs.samplesperpixel, 16, "int")
            assert (ours.compression, ours.photometric) == (theirs.compression, theirs.photometric)
            assert (ours.extra, ours.is_tiled) == (tuple(theirs.extrasamples), theirs.is_tiled)
        assert found[0].segment_rows == (16 if tile else 7)
    assert len(pages(found)) == 2


def test_files_of_pillow(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    first, second = Image.new("RGB", (7, 5)), Image.new("L", (3, 2))
    first.save(path, save_all=True, append_images=[second], tiffinfo={274: 6}, compression="tiff_lzw")
    with path.open("rb") as stream:
        one, two = read_directories(stream)
    assert (one.size, one.orientation, one.compression, one.photometric) == ((5, 7), 6, 5, tiff.RGB)
    assert (str(one), str(two)) == ("3 bands of uint8 (RGB)", "1 band of uint8 (grey)")
    assert two.size == (2, 3)
