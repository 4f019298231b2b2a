"""Outlines worked by hand, and what the figures promise: a mark of their own on a coat that others wear."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from swtformer.datasets.figures import COAT_HUES, FIGURES, blob, both, ellipse, stroke, symmetric


def figure(name, seed=0):
    return FIGURES[name](np.random.default_rng(seed))


def vivid(name):
    """The fully coloured inks of a class."""
    return {colour for _, colour in figure(name).inks if max(colour) - min(colour) >= 200}


@pytest.mark.parametrize(
    ("degrees", "first", "quarter"), [(0, (5, 4), (3, 5)), (90, (3, 6), (2, 4)), (180, (1, 4), (3, 3))]
)
def test_an_ellipse_starts_on_its_first_axis_and_turns_to_its_second(degrees, first, quarter):
    outline = ellipse(3, 4, 2, 1, degrees)
    assert outline.shape == (36, 2)
    np.testing.assert_allclose(outline[[0, 9]], [first, quarter], atol=1e-12)
    np.testing.assert_allclose(outline.mean(0), (3, 4), atol=1e-12)


def test_a_blob_runs_through_its_points_and_is_a_catmull_rom_spline_between_them():
    points = [(0, 0), (4, 0), (4, 4), (0, 4)]
    outline = blob(*points)
    assert outline.shape == (24, 2)
    np.testing.assert_allclose(outline[::6], points, atol=1e-12)
    # Half-way: (9 (p1 + p2) − (p0 + p3)) / 16, here of (0, 4), (0, 0), (4, 0), (4, 4).
    np.testing.assert_allclose(outline[3], (2, -0.5), atol=1e-12)
    np.testing.assert_allclose(outline[21], (-0.5, 2), atol=1e-12)


def test_a_stroke_lies_half_its_width_on_either_side():
    outline = stroke((0, 0, 0.5), (2, 0, 0.25))
    np.testing.assert_allclose(outline[::6], [(0, 0.5), (2, 0.25), (2, -0.25), (0, -0.5)], atol=1e-12)
    upright = stroke((1, 0, 0.1), (1, 1, 0.1), (1, 3, 0.1))
    np.testing.assert_allclose(upright[:18:6], [(0.9, 0), (0.9, 1), (0.9, 3)], atol=1e-12)


def test_symmetric_runs_down_its_right_half_and_up_the_left():
    outline = symmetric((0, -1), (1, 0), (0, 1))
    np.testing.assert_allclose(outline[::6], [(0, -1), (1, 0), (0, 1), (-1, 0)], atol=1e-12)


def test_both_adds_the_outline_with_left_and_right_exchanged():
    outline = np.array([(1.0, 2.0), (-3.0, 4.0)])
    assert [side.tolist() for side in both(outline)] == [[[1, 2], [-3, 4]], [[-1, 2], [3, 4]]]


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_it_fills_its_frame(self, name):
        for seed in range(5):
            points = np.concatenate(figure(name, seed).silhouette)
            assert np.isfinite(points).all()
            assert np.abs(points).max() < 1.25
            assert (points.max(0) - points.min(0)).max() > 1.7

    def test_the_generator_alone_decides(self, name):
        one, same, other = figure(name), figure(name), figure(name, seed=1)
        for part, twin in zip(one.silhouette, same.silhouette, strict=True):
            np.testing.assert_array_equal(part, twin)
        joined = [np.concatenate(drawn.silhouette) for drawn in (one, other)]
        assert joined[0].shape != joined[1].shape or not np.allclose(*joined)

    def test_its_tones_and_turn_can_be_painted(self, name):
        drawn = figure(name)
        assert all(0 < tone < 2.55 for _, tone in drawn.tones)  # painted as per cent in a byte
        assert 0 < drawn.turn <= 180

    def test_marks_lie_on_the_figure_and_cover_a_small_part_of_it(self, name):
        def covered(polygons):
            image = Image.new("L", (300, 300))
            for polygon in polygons:
                ImageDraw.Draw(image).polygon((polygon * 100 + 150).ravel().tolist(), fill=1)
            return np.asarray(image) > 0

        drawn = figure(name)
        whole, marks = covered(drawn.silhouette), covered(part for part, _ in drawn.inks)
        assert marks.any()
        assert (marks & whole).sum() < 0.35 * whole.sum()
        assert (marks & ~whole).sum() < 0.05 * marks.sum()

    def test_its_mark_has_one_vivid_colour_that_no_other_class_has(self, name):
        (own,) = vivid(name)
        assert all(own not in vivid(other) for other in FIGURES if other != name)

    def test_its_coats_are_worn_by_others_too(self, name):
        hues = figure(name).hues
        assert len(set(hues)) == len(hues) >= 2
        for hue in hues:
            assert hue in COAT_HUES
            assert any(hue in figure(other).hues for other in FIGURES if other != name)
