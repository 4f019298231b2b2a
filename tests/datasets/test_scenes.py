"""Drawn scenes: exact masks, and nothing random but the generator."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.datasets.figures import FIGURES
from swtformer.datasets.scenes import draw_scene

MARKS = {
    "butterfly": (0, 130, 255),
    "cat": (30, 235, 50),
    "fish": (255, 20, 200),
    "flower": (255, 220, 0),
    "owl": (255, 80, 0),
}


def scenes(count, *, height=96, width=96, seed=0, background_fraction=0.0):
    """Images and masks."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        yield draw_scene(rng, height=height, width=width, background_fraction=background_fraction)


def classes_in(mask):
    return set(np.unique(mask).tolist()) - {0}


def test_the_same_state_of_the_generator_gives_the_same_scene():
    (one,), (same,), (other,) = (scenes(1, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])


def test_the_global_generator_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    list(scenes(1))
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 200), (150, 41)])
def test_types_sizes_and_an_object_in_every_scene(height, width):
    for image, mask in scenes(6, height=height, width=width):
        assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
        assert mask.any()


def test_every_class_in_a_mask_can_be_seen():
    for _, mask in scenes(60, height=64, width=80):
        counts = np.bincount(mask.ravel())[1:]
        assert counts[counts > 0].min() >= 8


def test_all_classes_sizes_and_empty_scenes_occur():
    masks = [mask for _, mask in scenes(150, background_fraction=0.1)]
    shares = [(mask > 0).mean() for mask in masks]
    assert set().union(*map(classes_in, masks)) == {1, 2, 3, 4, 5}
    assert {len(classes_in(mask)) for mask in masks} == {0, 1, 2, 3}
    assert 5 <= sum(not mask.any() for mask in masks) <= 30
    assert min(share for share in shares if share) < 0.06
    assert max(shares) > 0.3


def test_objects_are_painted_inside_their_masks_only():
    # Until the objects come, both scenes are the same; shadows make the ground darker, never brighter.
    ((empty, _),) = scenes(1, seed=5, height=128, width=128, background_fraction=1.0)
    ((image, mask),) = scenes(1, seed=5, height=128, width=128)
    gain = (image.astype(int) - empty).max(-1)
    inside = mask > 0
    assert (gain[inside] > 40).mean() > 0.3
    assert (gain[~inside] > 40).mean() < 0.01


def test_a_class_s_own_colour_lies_under_its_mask_value():
    drawn = list(scenes(40, seed=2))
    for value, name in enumerate(FIGURES, start=1):
        mark = np.array(MARKS[name]) / np.linalg.norm(MARKS[name])
        own = others = 0
        for image, mask in drawn:
            pixels = image.astype(float)
            length = np.linalg.norm(pixels, axis=-1)
            like_mark = (pixels @ mark > 0.985 * length) & (length > 150)
            own += int((like_mark & (mask == value)).sum())
            others += int((like_mark & (mask != value)).sum())
        assert own > 50
        assert others < 0.1 * own
