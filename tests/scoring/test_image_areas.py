"""Areas of each image by itself, worked by hand on maps of four cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, SwtformerError
from swtformer.scoring.image_areas import image_areas
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import MaskRule, write_mask
from swtformer.store.run import Run

MAPS = ClassActivationMaps(
    values=np.array([1]),
    size=(1, 4),
    cam=np.array([[[0.0, 0.25, 0.625, 1.0]]]),
    rcam=np.array([[[0.875, 0.5, 0.25, 0.0]], [[0.0, 0.25, 0.75, 1.0]]]),
    probabilities=np.array([0.75, 0.125], np.float32),
    made_by="model",
)
"""A cat in one row of four pixels, on a grid of their own size."""


@pytest.fixture
def data(tmp_path: Path) -> ImageSet:
    """Images b and a with masks, and c without one; a mask's last pixel is ignored in b."""
    records = []
    for id, truth in (("b", [[1, 1, 1, 255]]), ("a", [[0, 1, 1, 0]]), ("c", None)):
        MAPS.save(Run(tmp_path).map_file(id))
        mask = None
        if truth is not None:
            mask = tmp_path / "truth" / f"{id}.png"
            write_mask(mask, np.array(truth, np.uint8))
        records.append(Record(id=id, image=tmp_path / f"{id}.jpg", present=(0,), mask=mask))
    return ImageSet("cats", "table", tmp_path, ("cat", "dog"), tuple(records))


def test_areas_are_in_the_order_of_ids_and_skip_images_without_masks(data: ImageSet) -> None:
    """Above 0.5 the mask is 0 0 1 1; a has 0 1 1 0, b has 1 1 1 and an ignored pixel."""
    areas = image_areas(Run(data.root), data, MaskRule("cam", "fixed", 0.5))
    assert areas.tolist() == [
        [[1, 1, 0], [2, 2, 0], [2, 2, 0]],
        [[0, 1, 0], [0, 3, 0], [2, 1, 0]],
    ]


def test_the_rule_decides(data: ImageSet) -> None:
    """R-CAM against its own background: 0 0 1 1; at the threshold 0.2, CAM gives 0 1 1 1."""
    by_argmax = image_areas(Run(data.root), data, MaskRule("rcam", "argmax", None))
    assert by_argmax[0].tolist() == [[1, 1, 0], [2, 2, 0], [2, 2, 0]]
    at_threshold = image_areas(Run(data.root), data, MaskRule("cam", "fixed", 0.2))
    assert at_threshold[0].tolist() == [[1, 2, 0], [2, 2, 0], [1, 3, 0]]


def test_missing_maps_are_an_error_or_background(data: ImageSet) -> None:
    Run(data.root).map_file("a").unlink()
    rule = MaskRule("cam", "fixed", 0.5)
    with pytest.raises(SwtformerError, match="does not exist"):
        image_areas(Run(data.root), data, rule)
    areas = image_areas(Run(data.root), data, rule, missing="background")
    assert areas[0].tolist() == [[2, 0, 0], [2, 2, 0], [4, 0, 0]]


def test_a_mask_of_another_size_is_refused(data: ImageSet) -> None:
    replace(MAPS, size=(1, 5)).save(Run(data.root).map_file("a"))
    with pytest.raises(DataError, match="ground truth"):
        image_areas(Run(data.root), data, MaskRule("cam", "fixed", 0.5))
