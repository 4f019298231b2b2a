"""Boxes around objects, and grids of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.reproduction.figures import GAP_PX, RED, TILE_PX, Boxes, Picture, boxes_of, draw_grid


def test_boxes_tell_large_from_small_objects() -> None:
    """In 100×100 px: 20 % is large, 1 % small, 5 % neither; 4 px are a crumb, and 255 is no object."""
    labels = np.zeros((100, 100), np.uint8)
    labels[0:40, 0:50] = 1
    labels[60:70, 60:70] = 1
    labels[80:90, 0:50] = 2
    labels[50:52, 90:92] = 2
    labels[95:, 60:] = 255
    found = boxes_of(labels)
    assert found.large == ((0.0, 0.0, 0.4, 0.5),)
    assert found.small == ((0.6, 0.6, 0.7, 0.7),)


def test_a_grid_has_its_pictures_in_place(tmp_path: Path) -> None:
    photograph = np.full((60, 80, 3), 200, np.uint8)
    boxes = Boxes(large=((0.0, 0.0, 1.0, 1.0),))
    rows = [
        [Picture(photograph, boxes=boxes), Picture(photograph, np.ones((4, 4), np.float32), caption="cat")]
    ]
    draw_grid(rows, ["photograph", "map"], tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape[1] == 2 * (TILE_PX + GAP_PX) + GAP_PX
    assert (grid[:, :TILE_PX] == RED).all(-1).any()
    pale = grid[:, TILE_PX + 2 * GAP_PX :][(grid[:, TILE_PX + 2 * GAP_PX :] != 255).any(-1)]
    assert pale.mean(0) == pytest.approx([240, 240, 180], abs=60), "a map of ones is pale yellow"
