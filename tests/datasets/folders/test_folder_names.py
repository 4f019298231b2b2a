from __future__ import annotations

import pytest

from swtformer.datasets.folders.folder_names import masks_among, usually_holds_images, usually_holds_masks


@pytest.mark.parametrize(
    "name", ["images", "IMG", "JPEGImages", "train_images", "images_012", "data", "photos", "rgb"]
)
def test_folders_of_images(name):
    assert usually_holds_images(name)
    assert not usually_holds_masks(name)


@pytest.mark.parametrize("name", ["masks", "SegmentationClass", "gt", "ground_truth", "labels", "trimaps"])
def test_folders_of_masks(name):
    assert usually_holds_masks(name)
    assert not usually_holds_images(name)


@pytest.mark.parametrize(
    "name", ["cat", "imager", "database", "no_mask", "with_mask", "segway", "rgb_sensor"]
)
def test_folders_of_classes(name):
    assert not usually_holds_images(name)
    assert not usually_holds_masks(name)


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        (["x/a.png", "x/a_mask.png", "x/a_mask_1.png", "x/b-seg.png"], {"x/a_mask.png", "x/a_mask_1.png"}),
        (["a.jpg", "a_GT.png", "y/a_gt.png"], {"a_GT.png"}),
        (["x/images/a.jpg", "x/masks/a.png", "x/masks/b.png"], {"x/masks/a.png"}),
        (["masks/a.png", "images/a.png"], set()),
        (["x/a.png", "y/masks/a.png"], set()),
    ],
)
def test_masks_are_named_after_images(names, masks):
    assert masks_among(names) == masks
