"""Outlines worked by hand, and what the figures promise: a small mark of their own on a body in any coat."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from swtformer.datasets.figures import CLUTTER, FIGURES, disc, ellipse, pair, rotation


def vivid(name):
    """The fully coloured marks of a class."""
    return {colour for colour, *_ in FIGURES[name].marks if max(colour) - min(colour) >= 200}


def covered(layers):
    image = Image.new("L", (300, 300))
    for _, *outlines in layers:
        for outline in outlines:
            ImageDraw.Draw(image).polygon((outline * 100 + 150).ravel().tolist(), fill=1)
    return np.asarray(image) > 0


@pytest.mark.parametrize(
    ("degrees", "first", "quarter"), [(0, (5, 4), (3, 5)), (90, (3, 6), (2, 4)), (180, (1, 4), (3, 3))]
)
def test_an_ellipse_starts_on_its_first_axis_and_turns_to_its_second(degrees, first, quarter):
    outline = ellipse(3, 4, 2, 1, degrees)
    assert outline.shape == (36, 2)
    np.testing.assert_allclose(outline[[0, 9]], [first, quarter], atol=1e-12)
    np.testing.assert_allclose(outline.mean(0), (3, 4), atol=1e-12)


def test_a_disc_is_round():
    np.testing.assert_allclose(np.linalg.norm(disc(1, -2, 0.5) - (1, -2), axis=1), 0.5)


def test_a_rotation_turns_from_right_to_down():
    np.testing.assert_allclose([(1, 0), (0, 1)] @ rotation(90), [(0, 1), (-1, 0)], atol=1e-12)
    np.testing.assert_allclose(rotation(30) @ rotation(60), rotation(90), atol=1e-12)


def test_a_pair_is_an_outline_and_its_mirror_image():
    assert [part.tolist() for part in pair(np.array([(1.0, 2.0), (-3.0, 4.0)]))] == [
        [[1, 2], [-3, 4]],
        [[-1, 2], [3, 4]],
    ]


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_it_fills_its_frame(self, name):
        points = np.concatenate([outline for _, *outlines in FIGURES[name].body for outline in outlines])
        assert np.abs(points).max() < 1.25
        assert (points.max(0) - points.min(0)).max() > 1.7

    def test_its_marks_lie_on_it_and_cover_a_small_part_of_it(self, name):
        body, marks = covered(FIGURES[name].body), covered(FIGURES[name].marks)
        assert 0 < (marks & body).sum() < 0.35 * body.sum()
        assert (marks & ~body).sum() < 0.05 * marks.sum()

    def test_one_vivid_colour_is_its_own(self, name):
        (own,) = vivid(name)
        assert all(own not in vivid(other) for other in FIGURES if other != name)


def test_clutter_has_no_marks():
    assert not any(figure.marks for figure in CLUTTER)


def test_all_tones_can_be_painted_as_per_cent_in_a_byte():
    tones = [tone for figure in (*FIGURES.values(), *CLUTTER) for tone, *_ in figure.body]
    assert all(0.01 <= tone <= 2.55 for tone in tones)
