"""One range per data set: what is decided, what is said, and what the pixels then are."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from support.pictures import draw_scene
from swtformer.datasets import value_range
from swtformer.datasets.images import read_image
from swtformer.datasets.value_range import settle
from swtformer.errors import DataError, ImageError
from swtformer.settings import DataSettings, ImageSettings

SCENE = draw_scene()
GREY = SCENE.mean(2)
AUTO = ImageSettings()


def save(folder, *pictures, **options):
    """TIFF files of these arrays."""
    paths = []
    for number, values in enumerate(pictures):
        path = folder / f"{number}.tif"
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack", **options)
        paths.append(path)
    return paths


def of_type(kind, low, high):
    """The grey scene stretched from low to high."""
    return (low + GREY / GREY.max() * (high - low)).astype(kind)


@pytest.mark.parametrize(
    ("values", "range", "said"),
    [
        (of_type(np.uint16, 0, 65535), "full", "16 bits"),
        (of_type(np.uint16, 0, 50000), "full", "16 bits"),
        (of_type(np.uint16, 0, 4080), (0, 4095), "12 bits"),
        (of_type(np.uint16, 0, 1010), (0, 1023), "10 bits"),
        (of_type(np.uint16, 0, 16000), (0, 16383), "14 bits"),
        (of_type(np.uint16, 0, 250), (0, 255), "8 bits"),
        (of_type(np.uint16, 0, 3060), (0, 3060), "the highest value"),
        (of_type(np.uint32, 0, 4000), (0, 4095), "12 bits"),
        (of_type(np.int16, 0, 4000), (0, 4095), "12 bits"),
        (of_type(np.int16, -32768, 32767), "full", "all that the type can hold"),
        (of_type(np.int16, -1024, 3071), (-1024, 3071), "lowest and highest"),
        (of_type(np.int32, -500, 1500), (-500, 1500), "lowest and highest"),
        (of_type(np.float32, 0, 1), (0, 1), "floats of 0 to 1"),
        (of_type(np.float32, 0, 0.9), (0, 1), "floats of 0 to 1"),
        (of_type(np.float64, -1, 1), (-1, 1), "floats of -1 to 1"),
        (of_type(np.float32, 0, 255), (0, 255), "8 bits"),
        (of_type(np.float32, 280, 310), (280, 310), "lowest and highest"),
        (np.zeros((9, 9), np.uint16), "full", "all values are equal"),
    ],
)
def test_the_decision_of_auto(tmp_path, values, range, said):
    paths = save(tmp_path, values)
    settled, remarks = settle(paths, AUTO)
    assert settled.range == range or settled.range == pytest.approx(range, abs=1e-4)
    assert len(remarks) == 1
    assert said in remarks[0]
    assert "data.range" in remarks[0]
    low, high = (
        {"full": (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)}[range]
        if range == "full"
        else range
    )
    expected = np.clip((values.astype(float) - low) / (high - low) * 255, 0, 255)
    np.testing.assert_allclose(read_image(paths[0], settled)[:, :, 0], expected, atol=0.51)


def test_few_bright_values_do_not_darken_a_set(tmp_path):
    reflectances = of_type(np.uint16, 200, 3000)
    reflectances[0, :3] = (16000, 12000, 9000)
    settled, remarks = settle(save(tmp_path, reflectances), AUTO)
    low, high = settled.range
    assert 200 <= low < 400
    assert 2500 < high <= 3000
    assert "percentile" in remarks[0]


@pytest.mark.parametrize(("kind", "marker"), [(np.uint16, 65535), (np.int16, -32768), (np.float32, -9999.0)])
def test_marks_of_missing_data_are_passed_over(tmp_path, kind, marker):
    values = of_type(kind, 0, 3000)
    values[:20] = marker
    settled, _ = settle(save(tmp_path, values), AUTO)
    assert settled.range == (0, 3000)


def test_a_bright_thing_of_one_colour_is_no_mark(tmp_path):
    values = np.random.default_rng(0).integers(300, 900, (60, 80)).astype(np.uint16)
    values[10:30, 10:40] = 4000
    assert settle(save(tmp_path, values), AUTO)[0].range == (0, 4095)


def test_nan_and_the_nodata_tag_are_passed_over(tmp_path):
    values = of_type(np.float32, 0, 0.95)
    values[:9] = np.nan
    values[9:12] = 7
    paths = save(tmp_path, values, extratags=[(42113, "s", 2, "7", True)])
    settled, _ = settle(paths, AUTO)
    assert settled.range == (0, 1)
    assert read_image(paths[0], settled)[:12].max() == 0


def test_one_decision_for_dark_and_bright_images(tmp_path):
    dark, bright = of_type(np.uint16, 0, 900), of_type(np.uint16, 0, 4090)
    paths = save(tmp_path, dark, bright)
    settled, remarks = settle(paths, AUTO)
    assert settled.range == (0, 4095)
    assert "Values of 0 to 4090 in 2 of 2 images (1 band of uint16 (grey))" in remarks[0]
    assert read_image(paths[0], settled).max() == round(900 / 4095 * 255)


@pytest.mark.parametrize("asked", ["full", (100.0, 2000.0)])
def test_what_is_set_is_kept_and_told(tmp_path, asked):
    settled, remarks = settle(save(tmp_path, of_type(np.uint16, 0, 4080)), ImageSettings(range=asked))
    assert settled.range == asked
    assert "as set" in remarks[0]


def test_percentiles_are_pooled_for_colours_and_by_band_for_many(tmp_path):
    values = np.stack([np.arange(10_000).reshape(100, 100) * (k + 1) for k in range(5)], axis=2).astype(
        np.uint16
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    chosen = ImageSettings(range="percentiles", bands=(1, 2, 3))
    expected = np.percentile(values[:, :, :3], (1, 99))
    np.testing.assert_allclose(settle([path], chosen)[0].range, expected, rtol=0.02)
    every = ImageSettings(range="percentiles", bands=(1, 2, 3, 4, 5))
    expected = np.percentile(values.reshape(-1, 5), (1, 99), axis=0).T.reshape(-1)
    np.testing.assert_allclose(settle([path], every)[0].range, expected, rtol=0.02)


def test_8_bit_images_never_change(tmp_path):
    Image.fromarray(SCENE // 4).save(tmp_path / "a.png")
    paths = [tmp_path / "a.png"]
    assert settle(paths, AUTO) == (AUTO, ())
    for range in ("full", "percentiles", (0.0, 4095.0)):
        settled, remarks = settle(paths, ImageSettings(range=range))
        assert (settled.range, remarks) == (range, ())
        np.testing.assert_array_equal(read_image(paths[0], ImageSettings(range=range)), SCENE // 4)
    deep = save(tmp_path, of_type(np.uint16, 0, 4080))
    settled, remarks = settle(paths + deep, AUTO)
    assert settled.range == (0, 4095)
    assert "8-bit images stay as they are" in remarks[0]
    np.testing.assert_array_equal(read_image(paths[0], settled), SCENE // 4)


def test_a_deep_image_that_no_sample_saw_is_never_dark_in_silence(tmp_path):
    (path,) = save(tmp_path, of_type(np.uint16, 0, 4080))
    with pytest.raises(ImageError, match=r"from 0 to 4080, .*data\.range"):
        read_image(path, AUTO)
    (path,) = save(tmp_path, of_type(np.uint16, 0, 40_000))
    assert read_image(path, AUTO).max() == round(40_000 / 257)


def test_whole_numbers_and_floats_need_a_range_of_the_user(tmp_path):
    paths = save(tmp_path, of_type(np.uint16, 0, 4000), of_type(np.float32, 0, 1))
    with pytest.raises(DataError, match=r"there is no common range\. Set data\.range"):
        settle(paths, AUTO)
    assert settle(paths, ImageSettings(range=(0, 4000)))[0].range == (0, 4000)


def test_damaged_files_are_passed_over_here(tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"II*\0\x08\0")
    settled, _ = settle([tmp_path / "bad.tif", *save(tmp_path, of_type(np.uint16, 0, 4080))], AUTO)
    assert settled.range == (0, 4095)


def test_the_sample_is_bounded_and_spread(tmp_path, monkeypatch):
    monkeypatch.setattr(value_range, "HEADERS", 8)
    monkeypatch.setattr(value_range, "SAMPLED", 4)
    paths = save(tmp_path, *[of_type(np.uint16, 0, 1000 + 100 * k) for k in range(30)])
    seen = []
    monkeypatch.setattr(
        value_range, "read_stored", lambda path, page: seen.append(path) or original(path, page)
    )
    from swtformer.datasets.images import read_stored as original

    settle(paths, AUTO)
    assert len(seen) == 4
    places = sorted(paths.index(path) for path in seen)
    assert places[0] < 8
    assert places[-1] > 15


def test_pages_and_bands_are_told_once(tmp_path):
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        tifffile.imwrite(path, np.stack([GREY.astype(np.uint8)] * 4), photometric="minisblack")
    _, remarks = settle(paths, AUTO)
    assert len(remarks) == 1
    assert remarks[0].startswith("2 images have several pages of one size (a stack")
    assert "data.page" in remarks[0]
    assert settle(paths, ImageSettings(page=2))[1] == ()
    infrared = np.tile(np.arange(80, dtype=np.uint8), (60, 1))
    tifffile.imwrite(
        tmp_path / "n.tif", np.dstack([SCENE, infrared]), photometric="rgb", extrasamples=["unassalpha"]
    )
    _, remarks = settle([tmp_path / "n.tif"], AUTO)
    assert "1 image has more bands than a picture (n.tif: 4 bands of uint8 (RGB))" in remarks[0]
    assert settle([tmp_path / "n.tif"], ImageSettings(bands=(1, 2, 3)))[1] == ()
    Image.fromarray(np.dstack([SCENE, infrared])).save(tmp_path / "n.png")
    _, remarks = settle([tmp_path / "n.png"], AUTO)
    assert "an alpha channel with the values of a picture" in remarks[0]


def test_settings_of_a_data_set_stay_what_they_are(tmp_path):
    settings = DataSettings(classes=("cat",), exif="apply")
    settled, _ = settle(save(tmp_path, of_type(np.uint16, 0, 4080)), settings)
    assert settled == settings.model_copy(update={"range": (0.0, 4095.0)})


def test_a_set_of_unnamed_bands_is_refused_at_once(tmp_path):
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    for path in paths:
        tifffile.imwrite(path, np.dstack([SCENE, SCENE]), photometric="minisblack", planarconfig="contig")
    with pytest.raises(DataError, match=r"tif: holds 6 bands of uint8 .*The same holds for all 3 of 3"):
        settle(paths, AUTO)
    assert settle(paths, ImageSettings(bands=(4, 5, 6)))[1] == ()
    Image.fromarray(SCENE).save(tmp_path / "d.png")
    assert settle([*paths, tmp_path / "d.png"], AUTO)[1] == ()
