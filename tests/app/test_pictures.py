from __future__ import annotations

import numpy as np

from swtformer.app.pictures import STRIPES_PX, described, laid_over, legend, legend_rows
from swtformer.store.masks import voc_palette


def test_classes_have_the_colours_of_the_mask_file() -> None:
    photograph = np.full((20, 20, 3), 100, np.uint8)
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15, 5:15] = 3
    picture = laid_over(photograph, labels, 1.0)
    assert picture[10, 10].tolist() == voc_palette()[3].tolist()
    assert (picture[labels == 0] == 100).all()
    half = laid_over(photograph, labels, 0.5)
    assert half[10, 10].tolist() == [114, 114, 50]  # (100 + (128, 128, 0)) / 2
    assert (half[5, 5] > 150).all()  # the outline


def test_without_opacity_the_photograph_stays() -> None:
    photograph = np.full((4, 4, 3), 7, np.uint8)
    assert np.array_equal(laid_over(photograph, np.full((4, 4), 255, np.uint8), 0), photograph)


def test_pixels_without_a_label_are_striped() -> None:
    photograph = np.full((2 * STRIPES_PX, 2 * STRIPES_PX, 3), 128, np.uint8)
    picture = laid_over(photograph, np.full(photograph.shape[:2], 255, np.uint8), 0.8)
    row = picture[0, :, 0]
    assert row.max() > 200
    assert row.min() < 80
    assert (row == 128).any()
    assert np.array_equal(row[:STRIPES_PX], row[STRIPES_PX:])


def test_legend() -> None:
    labels = np.array([[0, 0, 2, 255], [2, 2, 1, 255]], np.uint8)
    rows = legend_rows(labels, ("<cat>", "dog", "cow"), {1: 0.25, 3: 0.5})
    assert [(row.label, row.area) for row in rows] == [
        (0, 0.25),
        (2, 0.375),
        (1, 0.125),
        (3, 0.0),
        (255, 0.25),
    ]
    text = legend(rows)
    assert "&lt;cat&gt;" in text
    assert "<cat>" not in text
    assert "rgb(0 128 0)" in text  # label 2
    assert "12.5 % of the picture, probability 0.25" in text
    assert described(rows).startswith("background 25.0 %, dog 37.5 %")
