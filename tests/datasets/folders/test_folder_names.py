from __future__ import annotations

import pytest

from swtformer.datasets.folders.folder_names import (
    are_numbered_parts,
    masks_among,
    usually_holds_images,
    usually_holds_masks,
    usually_is_part,
)


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
    ("name", "is_part"),
    [
        ("2019", True),
        ("B02", True),
        ("b8a", True),
        ("band_4", True),
        ("20190", False),
        ("b", False),
        ("B123", False),
    ],
)
def test_years_and_bands_are_parts(name, is_part):
    assert usually_is_part(name) == is_part


@pytest.mark.parametrize(
    ("names", "are_parts"),
    [
        (["kos01", "kos02"], True),
        (["Batch 1", "batch_2"], True),
        (["grade 1", "grade 2"], False),
        (["c0", "c1"], False),
        (["n02085620", "n02085782"], False),
        (["kos01", "cat"], False),
        (["kos01"], False),
        ([], False),
    ],
)
def test_folders_that_differ_in_a_number_alone(names, are_parts):
    assert are_numbered_parts(names) == are_parts


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        (["x/a.png", "x/a_mask.png", "x/a_mask_1.png", "x/b-seg.png"], {"x/a_mask.png", "x/a_mask_1.png"}),
        (["a.jpg", "a_GT.png", "y/a_gt.png"], {"a_GT.png"}),
        (["train_1.bmp", "train_1_anno.bmp", "b_annotation.png"], {"train_1_anno.bmp"}),
        (["x/images/a.jpg", "x/masks/a.png", "x/masks/b.png"], {"x/masks/a.png"}),
        (["masks/a.png", "images/a.png"], set()),
        (["x/a.png", "y/masks/a.png"], set()),
    ],
)
def test_masks_are_named_after_images(names, masks):
    assert masks_among(names) == masks
