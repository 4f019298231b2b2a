"""Pixels before they become bytes: which bands, which range, what is transparent."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.datasets.pixels.opened_files import UnclearPixels
from swtformer.datasets.pixels.stored_pixels import StoredPixels, looks_transparent
from swtformer.settings import ImageSettings

VALUES = np.arange(4 * 5 * 4, dtype=np.uint16).reshape(4, 5, 4)


def stored(*, colours: int = 3, nodata: float | None = None) -> StoredPixels:
    return StoredPixels(VALUES, (0, 65535), colours, "4 bands of uint16", nodata=nodata)


def test_bands_are_those_of_the_picture_or_the_chosen_ones() -> None:
    np.testing.assert_array_equal(stored().chosen(None), VALUES[:, :, :3])
    np.testing.assert_array_equal(stored().chosen((4, 1)), VALUES[:, :, [3, 0]])
    assert stored().bands_beyond == 1
    with pytest.raises(UnclearPixels, match=r"does not say which .* data\.bands, such as 3,2,1"):
        stored(colours=0).chosen(None)
    with pytest.raises(UnclearPixels, match="asks for band 5"):
        stored().chosen((5,))


def test_deep_values_need_a_range_and_are_clipped() -> None:
    with pytest.raises(UnclearPixels):
        stored().photograph(ImageSettings())
    made = stored(nodata=70).photograph(ImageSettings(range=(20, 60), bands=(3,)))
    assert made.shape == (4, 5, 3)
    grey = VALUES[:, :, 2].astype(float)
    expected = ((grey - 20) / 40).clip(0, 1) * 255
    expected[grey == 70] = 0
    np.testing.assert_allclose(made[:, :, 0], expected, atol=1)
    assert (made == made[:, :, :1]).all()


def test_bytes_stay_as_they_are() -> None:
    pixels = VALUES.astype(np.uint8)
    made = StoredPixels(pixels, (0, 255), 3, "4 bands of uint8").photograph(ImageSettings())
    np.testing.assert_array_equal(made, pixels[:, :, :3])


def test_a_sample_keeps_the_ends_of_every_band() -> None:
    made = stored(nodata=0).thinned(4)
    assert made.values.shape[0] == 1
    assert made.values.shape[1] < 20
    for band in range(4):
        own = VALUES[:, :, band]
        assert made.values[:, :, band].max() == own.max()
        assert own[own > 0].min() in made.values[:, :, band]
    assert stored().thinned(20).values is VALUES


def test_data_are_finite_and_not_nodata() -> None:
    there = stored(nodata=3).has_data(np.array([3.0, np.nan, np.inf, 4.0]))
    assert there.tolist() == [False, False, False, True]


def test_which_bands_can_be_transparency() -> None:
    mostly_opaque = np.full((10, 10), 255, np.uint8)
    mostly_opaque[0] = 0
    infrared = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert looks_transparent(mostly_opaque, (0, 255))
    assert looks_transparent(np.full((3, 3), 7, np.uint8), (0, 255))
    assert not looks_transparent(infrared, (0, 255))
