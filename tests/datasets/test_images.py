"""What whole files are read as: formats, colours, depths, orientation, label values."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from support.pictures import HEIGHT, LOSSY, WIDTH, distance, encode, write
from swtformer.datasets.images import check_readable, has_rotation, image_size, read_image
from swtformer.datasets.pixels.stored_pixels import GROUND
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings

ORIENTATION = 0x0112


def test_content_tells_the_format_not_the_name(tmp_path, scene, encoded):
    path = write(tmp_path, encoded)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert distance(pixels, scene) < LOSSY
    assert image_size(path) == (HEIGHT, WIDTH)
    assert check_readable(path) is None


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(tmp_path, scene, format):
    frames = [Image.fromarray(scene), Image.new("RGB", (WIDTH, HEIGHT), "red")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert distance(read_image(write(tmp_path, data)), scene) < LOSSY


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "PPM"])
def test_grey_is_replicated(tmp_path, scene, format):
    grey = Image.fromarray(scene).convert("L")
    pixels = read_image(write(tmp_path, encode(grey, format)))
    assert (pixels == pixels[:, :, :1]).all()
    assert distance(pixels[:, :, 0], np.asarray(grey)) < 1


def test_bilevel_is_black_and_white(tmp_path, scene):
    bilevel = Image.fromarray(scene[:, :, 0] > 100)
    pixels = read_image(write(tmp_path, encode(bilevel, "PNG")))
    assert (pixels == np.where(scene[:, :, :1] > 100, 255, 0)).all()


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_near_its_rgb_version(tmp_path, scene, format):
    data = encode(Image.fromarray(scene).convert("CMYK"), format)
    assert format != "JPEG" or b"Adobe" in data
    pixels = read_image(write(tmp_path, data))
    assert pixels.shape == scene.shape
    assert distance(pixels, scene) < LOSSY


def test_alpha_is_composited_on_white(tmp_path):
    colours = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    pixels = read_image(write(tmp_path, encode(Image.fromarray(colours), "PNG")))
    np.testing.assert_allclose(pixels[0], [[200, 100, 0], [255, 255, 255], [244, 224, 204]], atol=1)
    assert GROUND == (255, 255, 255)


def test_grey_with_alpha_is_composited_on_white(tmp_path):
    values = np.array([[[100, 255], [100, 0]]], dtype=np.uint8)
    pixels = read_image(write(tmp_path, encode(Image.fromarray(values, "LA"), "PNG")))
    assert pixels[0].tolist() == [[100] * 3, [255] * 3]


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_transparent_palette_entries_are_composited_on_white(tmp_path, format):
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pixels = read_image(write(tmp_path, encode(palette, format, transparency=1)))
    assert pixels[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_partly_transparent_palette_entries(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8))
    palette.putpalette([255, 0, 0, 0, 0, 0])
    pixels = read_image(write(tmp_path, encode(palette, "PNG", transparency=bytes([255, 51]))))
    np.testing.assert_allclose(pixels[0], [[255, 0, 0], [204, 204, 204]], atol=1)


SIXTEEN_BIT = np.array([[0, 128, 129, 257, 25_700, 32_768, 65_406, 65_535]], dtype=np.uint16)
EIGHT_BIT = [0, 0, 1, 1, 100, 128, 254, 255]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_saturated(tmp_path, format):
    pixels = read_image(write(tmp_path, encode(Image.fromarray(SIXTEEN_BIT), format)))
    assert pixels[0, :, 0].tolist() == EIGHT_BIT
    assert (pixels == pixels[:, :, :1]).all()


def tiff(order, values, *, photometric=1, samples=1, bits=16):
    """An uncompressed one-strip TIFF, written by hand."""
    mark, pixels = (b"II", values.astype(values.dtype.newbyteorder("<")).tobytes())
    if order == ">":
        mark, pixels = b"MM", values.astype(values.dtype.newbyteorder(">")).tobytes()
    depths = struct.pack(f"{order}{samples}H", *[bits] * samples)
    entries = [(256, 4, values.shape[1]), (257, 4, values.shape[0]), (258, 3, None), (259, 3, 1)]
    entries += [(262, 3, photometric), (273, 4, None), (277, 3, samples), (278, 4, values.shape[0])]
    entries += [(279, 4, len(pixels))]
    after = 8 + 2 + 12 * len(entries) + 4
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        count = samples if tag == 258 else 1
        directory += struct.pack(f"{order}HHI", tag, kind, count)
        if tag == 258 and samples > 2:
            directory += struct.pack(f"{order}I", after)
        elif tag == 258:
            directory += depths.ljust(4, b"\0")
        elif tag == 273:
            directory += struct.pack(f"{order}I", after + len(depths))
        else:
            directory += struct.pack(
                f"{order}I" if kind == 4 else f"{order}HH", *([value] if kind == 4 else [value, 0])
            )
    return mark + struct.pack(f"{order}HI", 42, 8) + directory + bytes(4) + depths + pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_tiff_in_both_byte_orders(tmp_path, order):
    path = write(tmp_path, tiff(order, SIXTEEN_BIT))
    assert read_image(path)[0, :, 0].tolist() == EIGHT_BIT
    assert image_size(path) == SIXTEEN_BIT.shape


def test_16_bit_tiff_whose_zero_is_white(tmp_path):
    pixels = read_image(write(tmp_path, tiff("<", SIXTEEN_BIT, photometric=0)))
    assert pixels[0, :, 0].tolist() == [255 - value for value in EIGHT_BIT]


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_tiff_is_within_1_of_the_scaled_value(tmp_path, order):
    colours = np.stack([SIXTEEN_BIT, SIXTEEN_BIT[:, ::-1], SIXTEEN_BIT // 2], axis=-1)
    pixels = read_image(write(tmp_path, tiff(order, colours, photometric=2, samples=3)))
    np.testing.assert_allclose(pixels, colours / 257, atol=1)
    assert pixels.min() == 0
    assert pixels.max() == 255


def png(values, *, colour_type, bits, extra=b""):
    """A PNG of big-endian samples, written by hand: Pillow writes no 16-bit colours and no 4-bit greys."""

    def chunk(kind, content):
        return (
            struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    if bits < 8:
        width = width * 8 // bits
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_16_bit_colour_png_is_within_1_of_the_scaled_value(tmp_path):
    colours = np.stack([SIXTEEN_BIT, SIXTEEN_BIT[:, ::-1], SIXTEEN_BIT // 2], axis=-1)
    pixels = read_image(write(tmp_path, png(colours.astype(">u2"), colour_type=2, bits=16)))
    np.testing.assert_allclose(pixels, colours / 257, atol=1)


def test_transparent_value_of_a_16_bit_grey_png_is_white(tmp_path):
    content = struct.pack(">H", 257)
    extra = struct.pack(">I4s", 2, b"tRNS") + content + struct.pack(">I", zlib.crc32(b"tRNS" + content))
    path = write(tmp_path, png(SIXTEEN_BIT.astype(">u2"), colour_type=0, bits=16, extra=extra))
    assert read_image(path)[0, :, 0].tolist() == [
        255 if v == 257 else e for v, e in zip(SIXTEEN_BIT[0], EIGHT_BIT, strict=True)
    ]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_float_and_32_bit_tiffs_need_a_range(tmp_path, kind):
    path = write(tmp_path, encode(Image.fromarray(np.array([[-5, 0, 46, 95]], dtype=kind)), "TIFF"))
    with pytest.raises(ImageError, match=rf"holds 1 band of {kind.__name__}.* from -5 to 95, .*data.range"):
        read_image(path)
    pixels = read_image(path, ImageSettings(range=(-5, 95)))
    assert pixels[0, :, 0].tolist() == [0, 13, 130, 255]


APPLIED = ImageSettings(exif="apply")

# What turns the stored grid upright, from the EXIF standard's table of where row 0 and column 0 lie.
UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_left_or_applied(tmp_path, scene, format, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    path = write(tmp_path, encode(Image.fromarray(scene), format, exif=exif, **options))
    upright = UPRIGHT[orientation](scene)
    raw, applied = read_image(path), read_image(path, APPLIED)
    assert distance(raw, scene) < LOSSY
    assert applied.shape == upright.shape
    assert distance(applied, upright) < LOSSY
    assert applied.flags.c_contiguous
    assert image_size(path) == scene.shape[:2]
    assert image_size(path, APPLIED) == upright.shape[:2]
    assert has_rotation(path) is (orientation != 1)


@pytest.mark.parametrize("size", [(1, 1), (1, 160), (3, 5), (160, 1)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_tiny_images(tmp_path, size, format):
    path = write(tmp_path, encode(Image.new("RGB", (size[1], size[0]), (250, 5, 5)), format))
    assert read_image(path).shape == (*size, 3)
    assert image_size(path) == size
