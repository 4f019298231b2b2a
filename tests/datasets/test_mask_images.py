"""Label images in every format and mode that keeps values, and colours by a palette."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.pictures import encode, write
from swtformer.datasets.mask_colours import VOC, read_colours
from swtformer.datasets.mask_images import read_mask, read_mask_and_colours
from swtformer.errors import DataError
from swtformer.store.masks import voc_palette

LABELS = np.array([[0, 1, 20], [255, 7, 0]], dtype=np.uint8)
COLOURS = voc_palette()[LABELS]


def with_palette(labels=LABELS):
    mask = Image.fromarray(labels)
    mask.putpalette([channel for value in range(256) for channel in (255 - value, value // 2, 9)])
    return mask


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("palette", [False, True])
def test_masks_keep_indices_never_colours(tmp_path, format, palette):
    path = write(tmp_path, encode(with_palette() if palette else Image.fromarray(LABELS), format))
    values = read_mask(path)
    assert values.dtype == np.uint8
    assert values.tolist() == LABELS.tolist()
    assert read_mask_and_colours(path)[1] is False


@pytest.mark.parametrize(
    ("mode", "format"), [("LA", "PNG"), ("LA", "TIFF"), ("RGB", "WEBP"), ("RGBA", "WEBP")]
)
def test_greys_with_alpha_and_of_webp_are_values(tmp_path, format, mode):
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    image = Image.fromarray(LABELS).convert(mode)
    path = write(tmp_path, encode(image, format, **options))
    assert read_mask(path).tolist() == LABELS.tolist()
    assert read_mask_and_colours(path)[1] is False


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_values_that_were_saved_as_colours_are_refused(tmp_path, format, mode):
    with pytest.raises(DataError, match=r"got RGB colours such as \(1, 1, 1\)"):
        read_mask(write(tmp_path, encode(Image.fromarray(LABELS).convert(mode), format)))


@pytest.mark.parametrize(
    ("kind", "options"), [(np.int32, {}), (np.float32, {}), (np.uint16, {}), (np.int8, {})]
)
def test_tiff_masks_of_other_types_hold_whole_numbers(tmp_path, kind, options):
    labels = np.array([[0, 1, 20], [3, 7, 0]])
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, labels.astype(kind), photometric="minisblack")
    assert read_mask(path).tolist() == labels.tolist()


def test_values_that_are_no_labels_are_refused(tmp_path):
    wide = LABELS.astype(np.uint16)
    wide[0, 0] = 256
    with pytest.raises(DataError, match=r"from 0 to 255, got 0 to 256 \(uint16\)"):
        read_mask(write(tmp_path, encode(Image.fromarray(wide), "PNG")))
    with pytest.raises(DataError, match="not all of them whole"):
        read_mask(write(tmp_path, encode(Image.fromarray(np.array([[0, 0.5]], np.float32)), "TIFF")))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits(tmp_path, bits):
    def chunk(kind, content):
        return (
            struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    stored = np.array([[0b00011011, 0b11100100]], dtype=np.uint8)
    expected = np.unpackbits(stored[0]).reshape(-1, bits) @ (1 << np.arange(bits)[::-1])
    for colour_type, extra in ((0, b""), (3, chunk(b"PLTE", bytes(3 * 2**bits)))):
        head = struct.pack(">IIBBBBB", len(expected), 1, bits, colour_type, 0, 0, 0)
        body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(b"\0" + stored.tobytes()))
        path = write(tmp_path, b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
        assert read_mask(path)[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("format", "options", "said"),
    [
        ("JPEG", {}, "is JPEG, which changes values"),
        ("WEBP", {"quality": 95}, "is lossy WebP"),
        ("JPEG2000", {}, "is JPEG 2000"),
        ("AVIF", {}, "is AVIF"),
        ("TIFF", {"compression": "jpeg"}, "TIFF with lossy compression"),
    ],
)
def test_formats_that_change_values_are_refused(tmp_path, format, options, said):
    data = encode(Image.fromarray(np.zeros((16, 16, 3), np.uint8)), format, **options)
    with pytest.raises(DataError, match=said):
        read_mask(write(tmp_path, data))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_colours_of_voc_are_known(tmp_path, format):
    path = write(tmp_path, encode(Image.fromarray(COLOURS), format))
    assert read_mask(path).tolist() == LABELS.tolist()
    assert read_mask_and_colours(path)[1] is True
    assert VOC.values[0xC00000] == 9  # chair, from the development kit
    assert VOC.values[0xE0E0C0] == 255


def test_other_colours_are_refused_and_named(tmp_path):
    colours = COLOURS.copy()
    colours[0, 0] = (1, 2, 3)
    with pytest.raises(DataError, match=r"RGB colours such as \(1, 2, 3\), .*data.palette"):
        read_mask(write(tmp_path, encode(Image.fromarray(colours), "PNG")))


def test_transparent_pixels_are_background_and_half_transparent_ones_refused(tmp_path):
    pixels = np.dstack([COLOURS, np.full(LABELS.shape, 255, np.uint8)])
    pixels[0, 1] = (77, 66, 55, 0)
    labels = LABELS.copy()
    labels[0, 1] = 0
    assert read_mask(write(tmp_path, encode(Image.fromarray(pixels), "PNG"))).tolist() == labels.tolist()
    pixels[0, 1, 3] = 100
    with pytest.raises(DataError, match="half-transparent"):
        read_mask(write(tmp_path, encode(Image.fromarray(pixels), "PNG")))


CLASSES = ("cat", "big dog")
MEANING = {0: 0, 0x0A1400: 1, 0xFF00FF: 2, 0xFFFFFF: 255}


PALETTES = {
    "blanks.txt": "background 0 0 0\ncat 10 20 0\nbig dog 255 0 255\nvoid 255 255 255\n",
    "colons.txt": "# colours\nbackground: 0, 0, 0\r\ncat: 10, 20, 0\r\nbig dog: 255,0,255\nvoid: 255,255,255",
    "first.csv": "name,r,g,b\nbackground,0,0,0\ncat,10,20,0\nbig dog,255,0,255\nignore,255,255,255\n",
    "last.csv": "r;g;b;name\n0;0;0;background\n10;20;0;cat\n255;0;255;big dog\n255;255;255;void\n",
    "numbered.csv": '\ufeffid,name,r,g,b\n0,background,0,0,0\n1,"cat",10,20,0\n2,"big dog",255,0,255\n'
    "9,void,255,255,255",
    "hex.txt": "background #000000\ncat #0a1400\nbig dog #FF00FF\nvoid #ffffff\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:10,20,0::\n"
    "big dog:255,0,255::\nvoid:255,255,255::",
    "object.json": json.dumps(
        {"background": [0, 0, 0], "cat": [10, 20, 0], "big dog": "#ff00ff", "void": "255,255,255"}
    ),
    "list.json": json.dumps(
        [
            {"name": "cat", "color": "#0a1400"},
            {"name": "big dog", "color": [255, 0, 255]},
            {"label": "void", "rgb": [255, 255, 255]},
        ]
    ),
}


@pytest.mark.parametrize("name", PALETTES)
def test_palette_files(tmp_path, name):
    path = tmp_path / name
    path.write_text(PALETTES[name], encoding="utf-8")
    assert read_colours(path, CLASSES).values == MEANING


def test_masks_by_a_palette_file(tmp_path):
    (tmp_path / "p.txt").write_text("cat 10 20 0\nbig dog 255 0 255\n")
    colours = read_colours(tmp_path / "p.txt", CLASSES)
    pixels = np.array([[(0, 0, 0), (10, 20, 0), (255, 0, 255)]], np.uint8)
    assert read_mask(write(tmp_path, encode(Image.fromarray(pixels), "PNG")), colours).tolist() == [[0, 1, 2]]
    quantised = Image.fromarray(pixels).quantize(3)
    assert read_mask(write(tmp_path, encode(quantised, "PNG")), colours).tolist() == [[0, 1, 2]]
    pixels[0, 0] = 9
    with pytest.raises(DataError, match=r"p\.txt does not list: \(9, 9, 9\)"):
        read_mask(write(tmp_path, encode(Image.fromarray(pixels), "PNG")), colours)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat 1 2 3\nbig dog 4 5 6\nhorse 7 8 9", "unknown class 'horse'"),
        ("cat 1 2 3", "gives no colour to 'big dog'"),
        ("cat 1 2 3\nbig dog 1 2 3", "to two classes, the second is 'big dog'"),
        ("cat 1 2 3\nbig dog", "line 2: expected a class and its red"),
        ("big dog 1 2 3\ncat 1 2 300", "line 2: expected a class and its red"),
        ("", "holds no line with a class"),
        ("{", "is not valid JSON"),
        ('{"cat": [1, 2]}', "expected .*red, green, blue"),
    ],
)
def test_palette_files_that_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "p.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_colours(path, CLASSES)


def test_a_missing_palette_file(tmp_path):
    with pytest.raises(DataError, match="the palette cannot be read"):
        read_colours(tmp_path / "p.txt", CLASSES)
