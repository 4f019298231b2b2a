"""TIFF as cameras, scanners, microscopes and satellites write it: pixel values against NumPy."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.pictures import HEIGHT, LOSSY, WIDTH, distance, draw_scene
from swtformer.datasets.images import image_header, image_size, read_image, read_stored
from swtformer.datasets.pixels.tiff_directories import read_directories
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings

SCENE = draw_scene()
INFRARED = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
DEEP = SCENE.astype(np.uint16) * 257 + np.arange(WIDTH, dtype=np.uint16)[:, None] % 128


def save(folder, values, name="a.tif", **options):
    path = folder / name
    tifffile.imwrite(path, values, **options)
    return path


FORMS = {
    "plain": {},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "tiled": {"tile": (16, 32)},
    "strips": {"rowsperstrip": 7},
    "deflate": {"compression": "deflate", "tile": (32, 32), "bigtiff": True},
    "lzw": {"compression": "lzw", "predictor": True},
    "zstd": {"compression": "zstd"},
    "lzma": {"compression": "lzma"},
    "packbits": {"compression": "packbits"},
}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("form", FORMS)
def test_colours_in_every_form(tmp_path, form, planar, kind):
    values = SCENE if kind == np.uint8 else DEEP
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    path = save(tmp_path, stored, photometric="rgb", planarconfig=planar, **FORMS[form])
    np.testing.assert_array_equal(read_stored(path).values, values)
    expected = values if kind == np.uint8 else np.rint(values / 257)
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("tiled", [{}, {"tile": (16, 16)}])
def test_jpeg_in_tiff(tmp_path, tiled):
    path = save(
        tmp_path, SCENE, photometric="rgb", compression="jpeg", compressionargs={"level": 95}, **tiled
    )
    assert distance(read_image(path), SCENE) < LOSSY


def test_palettes_of_8_and_16_bits(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    labels = SCENE[:, :, 0]
    path = save(tmp_path, labels, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read_image(path), (colours >> 8)[:, labels].transpose(1, 2, 0))


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64])
def test_every_type_is_scaled_from_its_range(tmp_path, kind):
    values = (
        np.array([[-1000, 0, 100, 1000, 2047]])
        .clip(0 if kind in (np.uint16, np.uint32) else None)
        .astype(kind)
    )
    low, high = (0, 2000) if values.min() >= 0 else (-1000, 1000)
    expected = np.clip((values.astype(float) - low) / (high - low) * 255, 0, 255)
    for bands in (1, 3):
        stored = np.repeat(values[:, :, None], bands, axis=2) if bands > 1 else values
        path = save(tmp_path, stored, photometric="rgb" if bands == 3 else "minisblack")
        pixels = read_image(path, ImageSettings(range=(low, high)))
        assert pixels.shape == (1, 5, 3)
        np.testing.assert_allclose(pixels[:, :, bands - 1], expected, atol=0.5001)


def test_white_is_zero_is_turned_around(tmp_path):
    path = save(tmp_path, SCENE[:, :, 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(path)[:, :, 0], 255 - SCENE[:, :, 0])


def test_nan_and_nodata_become_black(tmp_path):
    values = np.array([[np.nan, np.inf, -np.inf, 0.5, -9999, 1]], np.float32)
    tag = [(42113, "s", 6, "-9999", True)]
    path = save(tmp_path, values, photometric="minisblack", extratags=tag)
    assert read_image(path, ImageSettings(range=(-10000, 1)))[0, :, 0].tolist() == [0, 0, 0, 255, 0, 255]
    assert read_stored(path).nodata == -9999


def rgb_and(band, tag, folder, kind=np.uint8):
    values = np.dstack([SCENE, band]).astype(kind)
    return save(folder, values, photometric="rgb", extrasamples=[tag])


def test_bands_beyond_colours_are_not_composited(tmp_path):
    np.testing.assert_array_equal(read_image(rgb_and(INFRARED, "unspecified", tmp_path)), SCENE)


@pytest.mark.parametrize("tag", ["unassalpha", "assocalpha"])
def test_a_band_that_is_only_tagged_alpha_is_a_band(tmp_path, tag):
    np.testing.assert_array_equal(read_image(rgb_and(INFRARED, tag, tmp_path)), SCENE)
    collar = np.where(np.arange(WIDTH) < 60, 0, INFRARED // 2).astype(np.uint8)
    np.testing.assert_array_equal(read_image(rgb_and(collar, tag, tmp_path)), SCENE)


def test_transparency_is_composited_on_white(tmp_path):
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:20], alpha[20:24] = 0, 51
    expected = np.rint(SCENE * (alpha[:, :, None] / 255) + 255 * (1 - alpha[:, :, None] / 255))
    path = rgb_and(alpha, "unassalpha", tmp_path)
    np.testing.assert_array_equal(read_image(path), expected)
    again = io.BytesIO()
    Image.fromarray(np.dstack([SCENE, alpha])).save(again, "PNG")
    (tmp_path / "a.png").write_bytes(again.getvalue())
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(read_image(path, ImageSettings(bands=(1, 2, 3))), SCENE)


def test_premultiplied_colours_are_composited_once(tmp_path):
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:20] = 51
    dark = np.rint(SCENE * (alpha[:, :, None] / 255)).astype(np.uint8)
    path = save(tmp_path, np.dstack([dark, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    expected = dark + 255.0 - alpha[:, :, None]
    np.testing.assert_allclose(read_image(path), expected, atol=1)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_are_chosen_counted_from_1(tmp_path, planar):
    values = np.stack([SCENE[:, :, 0] // (k + 1) for k in range(8)], axis=2).astype(np.uint16)
    stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
    path = save(tmp_path, stored, photometric="minisblack", planarconfig=planar)
    header = image_header(path)
    assert (header.bands, header.bits, header.kind) == (8, 16, "uint")
    with pytest.raises(ImageError, match=r"8 bands of uint16 \(grey\) and does not say .*data.bands"):
        read_image(path)
    settings = ImageSettings(bands=(4, 3, 1), range=(0, 255))
    np.testing.assert_array_equal(read_image(path, settings), values[:, :, [3, 2, 0]])
    one = read_image(path, ImageSettings(bands=(2,), range=(0, 255)))
    np.testing.assert_array_equal(one, np.repeat(values[:, :, 1:2], 3, axis=2))
    five = read_image(path, ImageSettings(bands=(1, 2, 3, 4, 8), range=(0, 255)))
    np.testing.assert_array_equal(five, values[:, :, [0, 1, 2, 3, 7]])
    each = read_image(path, ImageSettings(bands=(1, 2), range=(0, 255, 0, 510)))
    np.testing.assert_array_equal(each[:, :, 1], np.rint(values[:, :, 1] / 2))
    with pytest.raises(ImageError, match="asks for band 9"):
        read_image(path, ImageSettings(bands=(1, 2, 9), range="full"))
    with pytest.raises(ImageError, match="2 pairs of LOW,HIGH for 3 bands"):
        read_image(path, ImageSettings(bands=(1, 2, 3), range=(0, 1, 0, 1)))


def test_bands_of_common_formats_are_chosen_too(tmp_path):
    Image.fromarray(SCENE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png", ImageSettings(bands=(3, 2, 1))), SCENE[:, :, ::-1]
    )
    Image.fromarray(SCENE).save(tmp_path / "a.jpg", quality=95)
    assert distance(read_image(tmp_path / "a.jpg", ImageSettings(bands=(3, 2, 1))), SCENE[:, :, ::-1]) < LOSSY
    with pytest.raises(ImageError, match=r"holds 3 bands of uint8 .* asks for band 4"):
        read_image(tmp_path / "a.jpg", ImageSettings(bands=(1, 2, 4)))


def test_pages_are_chosen_counted_from_1(tmp_path):
    path = save(tmp_path, np.stack([SCENE, 255 - SCENE, SCENE // 2]), photometric="rgb")
    assert (image_header(path).pages, image_header(path).pages_are_equal) == (3, True)
    np.testing.assert_array_equal(read_image(path), SCENE)
    np.testing.assert_array_equal(read_image(path, ImageSettings(page=3)), SCENE // 2)
    with pytest.raises(ImageError, match=r"has 3 pages, but data\.page asks for page 4"):
        read_image(path, ImageSettings(page=4))
    Image.fromarray(SCENE).save(
        tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(255 - SCENE)]
    )
    assert image_header(tmp_path / "a.png").pages == 2
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", ImageSettings(page=2)), 255 - SCENE)
    with pytest.raises(ImageError, match="has 2 pages, but"):
        read_image(tmp_path / "a.png", ImageSettings(page=3))


def test_pyramids_are_one_page(tmp_path):
    small = SCENE[::2, ::2]
    for number, options in enumerate([{"subfiletype": 1}, {}]):
        path = tmp_path / f"{number}.tif"
        with tifffile.TiffWriter(path) as file:
            file.write(SCENE, photometric="rgb", metadata=None)
            file.write(small, photometric="rgb", metadata=None, **options)
            file.write(small[::2, ::2], photometric="rgb", metadata=None, **options)
        assert image_header(path).pages == 1
    with tifffile.TiffWriter(tmp_path / "sub.tif") as file:
        file.write(SCENE, photometric="rgb", subifds=1)
        file.write(small, photometric="rgb", subfiletype=1)
    assert image_header(tmp_path / "sub.tif").pages == 1


def test_stacks_of_imagej_have_several_pages(tmp_path):
    path = save(tmp_path, np.stack([SCENE[:, :, 0]] * 4), imagej=True)
    assert image_header(path).pages == 4


def test_orientation_turns_deep_pixels_as_well(tmp_path):
    tag = [(274, "H", 1, 6, True)]
    path = save(tmp_path, DEEP, photometric="rgb", extratags=tag)
    np.testing.assert_array_equal(read_stored(path).values, DEEP)
    upright = read_image(path, ImageSettings(exif="apply"))
    np.testing.assert_array_equal(upright, np.rot90(np.rint(DEEP / 257), -1))
    assert image_size(path, ImageSettings(exif="apply")) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("form", FORMS)
def test_files_that_are_cut_off_are_refused(tmp_path, form):
    path = save(
        tmp_path, np.dstack([DEEP, DEEP]), photometric="minisblack", planarconfig="contig", **FORMS[form]
    )
    data = path.read_bytes()
    for length in (len(data) // 2, len(data) - 2):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError, match=r"cut off|cannot be decoded"):
            read_image(path, ImageSettings(bands=(1, 2, 3)))


@pytest.mark.parametrize("tiled", [False, True])
def test_jpeg_strips_and_tiles_that_lack_rows_are_refused(tmp_path, tiled):
    layout = {"tile": (32, 32)} if tiled else {"rowsperstrip": 16}
    path = save(tmp_path, SCENE, compression="jpeg", **layout)
    content = path.read_bytes()
    rows = (32 if tiled else 16).to_bytes(2, "big")
    frame = content.index(b"\xff\xc0") + 5
    assert content[frame : frame + 2] == rows
    path.write_bytes(content[:frame] + b"\0\x08" + content[frame + 2 :])
    with pytest.raises(ImageError, match="rows of its strips or tiles are missing"):
        read_image(path)


def test_directories_that_share_too_much_are_refused():
    shared = 1000
    entry = struct.pack("<HHII", 273, 4, shared, 8)  # the strips lie where the tag says, as often as wanted
    block = struct.pack("<H", 1) + entry
    places = [8 + 4 * shared + number * (len(block) + 4) for number in range(200)]
    chain = b"".join(block + struct.pack("<I", place) for place in [*places[1:], 0])
    with pytest.raises(ValueError, match="claim more than it holds"):
        read_directories(io.BytesIO(struct.pack("<2sHI", b"II", 42, places[0]) + bytes(4 * shared) + chain))


def test_directories_that_point_at_themselves_end(tmp_path):
    path = save(tmp_path, SCENE, photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[start : start + 2], "little")
    data[start + 2 + 12 * entries : start + 6 + 12 * entries] = data[4:8]
    assert len(read_directories(io.BytesIO(bytes(data)))) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"photometric": "cfa"}, "1 band of uint8 .a raw colour filter array., which is not read"),
        ({"photometric": "cielab"}, "CIELAB"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path, options, said):
    values = SCENE if options["photometric"] == "cielab" else SCENE[:, :, 0]
    extra = [(33421, "H", 2, (2, 2), True)] if options["photometric"] == "cfa" else []
    with pytest.raises(ImageError, match=said):
        read_image(save(tmp_path, values, extratags=extra, **options))


def test_without_the_extra_the_message_names_bands_type_and_extra(tmp_path, monkeypatch):
    path = save(tmp_path, np.dstack([DEEP, DEEP]), photometric="minisblack", planarconfig="contig")
    colours = save(tmp_path, DEEP, name="b.tif", photometric="rgb", compression="deflate")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"6 bands of uint16 \(grey\), which needs the extra `tiff`"):
        read_image(path, ImageSettings(bands=(1, 2, 3)))
    np.testing.assert_array_equal(read_stored(colours).values, DEEP)
