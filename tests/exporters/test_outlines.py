from __future__ import annotations

import numpy as np
import pytest

from support.label_images import random_labels
from swtformer.exporters.outlines import fill, outlines, polygons


def flat(points: np.ndarray) -> list[float]:
    return points.ravel().tolist()


def test_one_pixel_is_a_square_of_its_edges() -> None:
    region = np.zeros((3, 5), dtype=bool)
    region[1, 3] = True
    (outline,) = outlines(region)
    assert sorted(map(tuple, outline.points.tolist())) == [(3, 1), (3, 2), (4, 1), (4, 2)]
    assert (outline.area, outline.is_hole) == (1, False)


def test_a_ring_has_a_part_and_a_hole() -> None:
    region = np.ones((5, 6), dtype=bool)
    region[2, 2:4] = False
    found = sorted(outlines(region), key=lambda outline: outline.is_hole)
    assert [(outline.area, outline.is_hole) for outline in found] == [(30, False), (2, True)]
    assert len(found[0].points) == len(found[1].points) == 4


def test_parts_that_touch_at_a_corner_are_two() -> None:
    for region in (np.eye(2, dtype=bool), np.eye(2, dtype=bool)[::-1]):
        assert [outline.area for outline in outlines(region)] == [1, 1]


def test_a_hole_that_touches_the_outside_at_a_corner_is_none() -> None:
    region = np.ones((4, 4), dtype=bool)
    region[1, 1] = region[0, 0] = False
    (outline,) = outlines(region)
    assert (outline.area, outline.is_hole) == (14, False)


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((4, 4), dtype=bool)) == []


@pytest.mark.parametrize("seed", range(12))
def test_parts_less_holes_are_the_region(seed: int) -> None:
    size = [(17, 29), (40, 8), (1, 12), (33, 33)][seed % 4]
    region = random_labels(seed, size, values=(0, 1)) > 0
    found = outlines(region)
    counts = np.zeros(size, dtype=int)
    for outline in found:
        filled = fill([flat(outline.points)], size)
        assert filled.sum() == outline.area
        counts += np.where(filled, -1 if outline.is_hole else 1, 0)
    np.testing.assert_array_equal(counts, region)


def test_a_hole_is_cut_open_from_its_upper_left_corner() -> None:
    region = np.ones((4, 5), dtype=bool)
    region[1:3, 2:4] = False
    (polygon,) = polygons(region)
    corners = polygon.tolist()
    assert corners.count([2, 1]) == corners.count([0, 1]) == 2  # both ends of the cut, there and back
    assert len(corners) == 4 + 4 + 1 + 2
    x, y = np.roll(polygon, -1, axis=0).T.astype(int), polygon.T.astype(int)
    assert abs(int((y[0] * x[1] - x[0] * y[1]).sum())) // 2 == region.sum()


@pytest.mark.parametrize("density", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("seed", range(6))
def test_polygons_cover_the_region_once_and_nothing_else(seed: int, density: float) -> None:
    """Many holes: beside one another, in a row, at the border, touching at corners."""
    region = np.random.default_rng(seed).random((23, 31)) < density
    counts = np.zeros(region.shape, dtype=int)
    for polygon in polygons(region):
        counts += fill([flat(polygon)], (23, 31))
    np.testing.assert_array_equal(counts, region)


@pytest.mark.parametrize("seed", range(6))
def test_readers_that_test_pixel_centres_see_the_region_too(seed: int) -> None:
    """By the winding number, which is 1 inside, so that even-odd and non-zero rules agree."""
    region = np.random.default_rng(seed).random((19, 24)) < 0.85
    winding = np.zeros(region.shape, dtype=int)
    for polygon in polygons(region):
        for (x, y), (next_x, next_y) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            assert x == next_x or y == next_y
            rows = slice(min(y, next_y), max(y, next_y))
            winding[rows, x:] += int(np.sign(y - next_y))
    np.testing.assert_array_equal(winding, region)


def test_the_largest_polygon_comes_first() -> None:
    region = np.ones((9, 9), dtype=bool)
    region[1:8, 1:8] = False
    region[4, 4] = region[2, 2:6] = True
    sizes = [np.ptp(polygon, axis=0).tolist() for polygon in polygons(region)]
    assert sizes == [[9, 9], [4, 1], [1, 1]]


def test_fill_takes_the_union_of_polygons() -> None:
    filled = fill([[0, 0, 2, 0, 2, 2, 0, 2], [3, 1, 5, 1, 5, 3, 3, 3]], (4, 6))
    expected = np.zeros((4, 6), dtype=bool)
    expected[:2, :2] = expected[1:3, 3:5] = True
    np.testing.assert_array_equal(filled, expected)


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([], "a polygon of 0 points"),
        ([0, 0, 2, 2], "a polygon of 2 points"),
        ([0, 0, 1, 1, 2, 2], "covers no pixel"),
        ([0, 0, 2, 2, 3, 3, 4], "x and y of each point, got 7 numbers"),
        ([0, 0, 2, 2, float("nan"), 3], "far outside the 6×4 pixels"),
        ([0, 0, 2, 2, 1e300, 3], "far outside the 6×4 pixels"),
        ([0, 0, 2, 2, 3, -5], "far outside the 6×4 pixels"),
        (["x"] * 6, "could not convert"),
    ],
)
def test_polygons_that_cannot_be_filled(polygon: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fill([polygon], (4, 6))
