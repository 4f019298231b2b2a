"""Scenes by rows: the same pixels as read whole, for every way to lay them out."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest
import tifffile

from swtformer.datasets.images import read_image
from swtformer.datasets.pixels import large_images
from swtformer.datasets.pixels.large_images import open_large
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings

RNG = np.random.default_rng(0)
VALUES = np.sort(RNG.integers(0, 4096, (150, 90, 5)).astype(np.uint16), axis=0)
SETTINGS = ImageSettings(bands=(4, 3, 2), range=(0, 4095))
LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (32, 16)},
    "deflated": {"tile": (64, 64), "compression": "deflate", "predictor": True},
    "big": {"rowsperstrip": 150, "bigtiff": True, "compression": "lzw"},
    "one strip": {},
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(large_images, "WHOLE_BYTES", 0)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_those_of_the_whole_image(tmp_path, layout, planar):
    stored = VALUES if planar == "contig" else np.moveaxis(VALUES, 2, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar, **LAYOUTS[layout])
    whole = read_image(path, SETTINGS)
    with open_large(path, SETTINGS) as scene:
        assert scene.shape == (150, 90, 3)
        for start, stop in ((0, 150), (0, 1), (5, 33), (31, 65), (149, 150)):
            np.testing.assert_array_equal(scene[start:stop], whole[start:stop])


def test_jpeg_tiles_share_their_tables(tmp_path):
    path = tmp_path / "a.tif"
    picture = (VALUES[:, :, :3] // 16).astype(np.uint8)
    tifffile.imwrite(path, picture, photometric="rgb", tile=(64, 64), compression="jpeg")
    with open_large(path, ImageSettings()) as scene:
        np.testing.assert_allclose(scene[0:150].astype(int), read_image(path), atol=1)


def test_alpha_is_judged_once_for_the_scene(tmp_path):
    picture = (VALUES[:, :, :3] // 16).astype(np.uint8)
    infrared = np.repeat(np.arange(150, dtype=np.uint8)[:, None], 90, axis=1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.dstack([picture, infrared]), photometric="rgb", extrasamples=["unassalpha"])
    with open_large(path, ImageSettings()) as scene:
        np.testing.assert_array_equal(scene[0:1], picture[0:1])  # where alpha would be 0
    infrared[:] = 255
    infrared[:40] = 0
    tifffile.imwrite(path, np.dstack([picture, infrared]), photometric="rgb", extrasamples=["unassalpha"])
    with open_large(path, ImageSettings()) as scene:
        assert (scene[0:40] == 255).all()
        np.testing.assert_array_equal(scene[40:], picture[40:])


def test_memory_is_that_of_the_rows(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((20_000, 1000), np.uint8), photometric="minisblack", rowsperstrip=16)
    with open_large(path, ImageSettings()) as scene:
        tracemalloc.start()
        try:
            for start in range(0, 20_000, 500):
                assert scene[start : start + 500].shape == (500, 1000, 3)
            assert tracemalloc.get_traced_memory()[1] < 8_000_000  # 60 MB as a whole
        finally:
            tracemalloc.stop()


def test_small_files_other_formats_and_damaged_ones_are_not_large(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\x08\0")
    assert open_large(path, ImageSettings()) is None
    path.write_bytes(b"\xff\xd8\xff")
    assert open_large(path, ImageSettings()) is None
    tifffile.imwrite(path, VALUES, photometric="minisblack", planarconfig="contig")
    monkeypatch.setattr(large_images, "WHOLE_BYTES", VALUES.nbytes)
    assert open_large(path, ImageSettings()) is None
    monkeypatch.setattr(large_images, "MAX_PIXELS", 150 * 90 - 1)
    with open_large(path, SETTINGS) as scene:
        assert scene.shape == (150, 90, 3)


def test_what_cannot_be_seen_or_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VALUES, photometric="minisblack", planarconfig="contig", compression="deflate")
    with pytest.raises(ImageError, match=r"5 bands of uint16 .*data\.bands"):
        open_large(path, ImageSettings())
    with pytest.raises(ImageError, match=r"gone\.tif: does not exist"):
        open_large(tmp_path / "gone.tif", SETTINGS)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[-1]
    data[place : place + 40] = bytes(40)
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match="cannot be decoded"), open_large(path, SETTINGS) as scene:
        scene[0:150]
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImageError, match="has 90×150 pixels; scenes of this size need the extra"):
        open_large(path, SETTINGS)
