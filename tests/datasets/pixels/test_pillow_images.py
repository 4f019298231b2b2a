"""16 bits of PNG and JPEG 2000, formats of phones and satellites, and what is refused by name."""

from __future__ import annotations

import io
import sys

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from support.pictures import LOSSY, distance, draw_scene, encode, write
from swtformer.datasets.images import image_header, image_size, read_image, read_stored
from swtformer.datasets.pixels import pillow_images
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings

SCENE = draw_scene()
DEEP = SCENE.astype(np.uint16) * 257 + np.arange(80, dtype=np.uint16)[:, None] % 128


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_all_16_bits_of_a_png_are_read(tmp_path, bands):
    values = np.dstack([DEEP, np.full(DEEP.shape[:2], 65535, np.uint16)])
    values = {1: values[:, :, :1], 2: values[:, :, [0, 3]], 3: values[:, :, :3], 4: values}[bands]
    path = write(tmp_path, imagecodecs.png_encode(np.ascontiguousarray(values)))
    np.testing.assert_array_equal(read_stored(path).values, values)
    expected = np.rint(DEEP / 257)
    np.testing.assert_array_equal(read_image(path), expected[:, :, [0] * 3] if bands < 3 else expected)
    assert (image_header(path).bits, image_header(path).bands) == (16, bands)


def test_12_bits_in_the_16_of_a_colour_png_keep_their_low_bits(tmp_path):
    values = DEEP >> 4
    path = write(tmp_path, imagecodecs.png_encode(values))
    pixels = read_image(path, ImageSettings(range=(0, 4095)))
    np.testing.assert_array_equal(pixels, np.rint(values / 4095 * 255))


def test_16_bit_alpha_is_composited_on_white(tmp_path):
    values = np.array([[[65535, 0, 0, 65535], [65535, 0, 0, 0], [0, 0, 0, 32768]]], np.uint16)
    pixels = read_image(write(tmp_path, imagecodecs.png_encode(values)))
    np.testing.assert_allclose(pixels[0], [[255, 0, 0], [255, 255, 255], [127, 127, 127]], atol=1)


@pytest.mark.parametrize(
    ("format", "options"), [("JPEG2000", {}), ("AVIF", {"quality": 90}), ("HEIF", {"quality": 90})]
)
def test_formats_of_phones_and_satellites(tmp_path, format, options):
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = write(tmp_path, encode(Image.fromarray(SCENE), format, **options))
    assert distance(read_image(path), SCENE) < LOSSY
    assert image_size(path) == (60, 80)
    data = path.read_bytes()
    for length in (len(data) // 2, len(data) - 2):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError):
            read_image(path)


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_deep_jpeg_2000(tmp_path, codec, bands):
    values = np.dstack([DEEP, DEEP])[:, :, :bands] >> 4
    data = imagecodecs.jpeg2k_encode(values, bitspersample=12, codecformat=codec, reversible=True, mct=False)
    path = write(tmp_path, data)
    header = image_header(path)
    assert (header.bits, header.bands) == (12, bands)
    chosen = tuple(range(1, bands + 1))
    pixels = read_image(path, ImageSettings(range="full", bands=chosen))
    expected = np.rint(values / 4095 * 255)
    np.testing.assert_array_equal(pixels, expected if bands > 1 else np.repeat(expected, 3, axis=2))
    path.write_bytes(data[:-2])
    with pytest.raises(ImageError, match="cut off"):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes(128) + b"DICM" + bytes(400), "is DICOM. Save its slices as 16-bit PNG"),
        (b"%PDF-1.7", "is PDF"),
        (b"\x89HDF\r\n\x1a\n", "is HDF5"),
        (b"\x93NUMPY\x01\x00", "is a NumPy array"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\n<?xml version='1.0'?><svg/>", "a web page or XML"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "is a video"),
        (b"PK\x03\x04", "is a zip archive|is a zip"),
        (b"hello world", "expected JPEG, PNG, TIFF.*begins with"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "cannot be decoded: its header is damaged"),
    ],
)
def test_other_formats_are_refused_by_name_with_the_way_out(tmp_path, data, said):
    for read in (read_image, image_header):
        with pytest.raises(ImageError, match=said):
            read(write(tmp_path, data))


def test_heic_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    pillow_images._reads_heic.cache_clear()
    try:
        data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
        with pytest.raises(ImageError, match=r"is HEIC, which needs the extra `heif`: pip install"):
            read_image(write(tmp_path, data))
    finally:
        pillow_images._reads_heic.cache_clear()


def test_deep_jpeg_2000_names_its_extra(tmp_path, monkeypatch):
    data = imagecodecs.jpeg2k_encode(DEEP >> 4, bitspersample=12)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageError, match=r"3 bands of uint12 \(JPEG 2000\), which needs the extra `tiff`"):
        read_image(write(tmp_path, data))


def test_animations_are_read_at_the_frame_that_is_asked_for(tmp_path):
    stream = io.BytesIO()
    frames = [Image.fromarray(SCENE), Image.fromarray(255 - SCENE)]
    frames[0].save(stream, "WEBP", lossless=True, save_all=True, append_images=frames[1:])
    path = write(tmp_path, stream.getvalue())
    np.testing.assert_array_equal(read_image(path), SCENE)
    np.testing.assert_array_equal(read_image(path, ImageSettings(page=2)), 255 - SCENE)
    assert image_header(path).pages == 2
