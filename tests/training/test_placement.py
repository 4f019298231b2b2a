"""Where crops lie; what they show is tested with the augmentations."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.backbones.base import for_bands
from swtformer.training.placement import (
    MEAN_COLOUR,
    Window,
    random_placement,
    random_window,
    scaled_size,
)


@pytest.mark.parametrize(
    ("size", "long_side", "expected"),
    [
        ((375, 500), 320, (240, 320)),
        ((500, 333), 640, (640, 426)),
        ((1, 2000), 320, (1, 320)),
        ((1, 1), 9, (9, 9)),
    ],
)
def test_scaled_size(size: tuple[int, int], long_side: int, expected: tuple[int, int]) -> None:
    assert scaled_size(*size, long_side) == expected


def test_a_long_side_is_cut_and_a_short_one_placed() -> None:
    long, short = (
        [random_window(size, 8, np.random.default_rng(seed)) for seed in range(60)] for size in (10, 5)
    )
    assert set(long) == {Window(start, 0, 8) for start in range(3)}
    assert set(short) == {Window(0, target, 5) for target in range(4)}


def test_the_box_is_the_window_before_resizing() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    placement = random_placement(image, (30, 60), 16, np.random.default_rng(0))
    left, top, right, bottom = placement.box
    assert (top, left) == pytest.approx((placement.rows.start / 1.5, placement.columns.start / 1.5))
    assert (bottom - top, right - left) == pytest.approx((16 / 1.5, 16 / 1.5))


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("scaled", [(6, 9), (8, 8), (12, 10)])
@pytest.mark.parametrize("seed", range(4))
def test_the_square_is_the_resized_part_on_the_mean_colour(
    bands: int, scaled: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*scaled, bands), dtype=np.uint8)  # as large as scaled: only cut and placed
    placement = random_placement(image, scaled, 8, rng)
    expected = np.empty((8, 8, bands), np.uint8)
    expected[:] = for_bands(MEAN_COLOUR, bands)
    rows, columns = placement.rows, placement.columns
    part = image[rows.start :, columns.start :][: rows.length, : columns.length]
    place = np.s_[rows.target : rows.target + rows.length, columns.target : columns.target + columns.length]
    expected[place] = part[:, ::-1] if placement.is_mirrored else part
    assert np.array_equal(placement.photograph(image).permute(1, 2, 0).numpy(), expected)
    shown = np.zeros((8, 8), dtype=bool)
    shown[place] = True
    assert np.array_equal(placement.valid().numpy(), shown)
