"""EXIF orientations, with Pillow as oracle."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from swtformer.datasets.pixels.orientation import as_stored, upright

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_that_of_pillow_and_can_be_undone(orientation: int) -> None:
    image = Image.fromarray(PIXELS)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    turned = upright(PIXELS, orientation)
    np.testing.assert_array_equal(turned, np.asarray(ImageOps.exif_transpose(image)))
    np.testing.assert_array_equal(as_stored(turned, orientation), PIXELS)
    assert turned.flags.c_contiguous


def test_bands_of_masks_and_spectra_are_turned_alike() -> None:
    assert upright(PIXELS[:, :, 0], 6).tolist() == [[9, 0], [12, 3], [15, 6]]
    assert upright(np.zeros((2, 3, 7)), 6).shape == (3, 2, 7)
