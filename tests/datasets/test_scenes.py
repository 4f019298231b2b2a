"""Drawn scenes: masks that are exact, labels that agree with them, and nothing random but the generator."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.datasets import scenes
from swtformer.datasets.scenes import CLASSES, draw_scene

MARKS = {
    "butterfly": (0, 130, 255),
    "cat": (30, 235, 50),
    "fish": (255, 20, 200),
    "flower": (255, 220, 0),
    "owl": (255, 80, 0),
}


def drawn(count, *, size=(96, 96), seed=0):
    for index in range(count):
        yield draw_scene(np.random.default_rng([seed, index]), size=size)


def present(mask):
    return set(np.unique(mask).tolist()) - {0}


def test_the_same_state_of_the_generator_gives_the_same_scene():
    (one,), (same,), (other,) = (drawn(1, seed=seed) for seed in (7, 7, 8))
    for array, twin in zip(one, same, strict=True):
        np.testing.assert_array_equal(array, twin)
    assert not np.array_equal(one[0], other[0])


def test_the_global_generator_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    list(drawn(1))
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("size", [(32, 32), (32, 200), (150, 41)])
def test_kinds_and_sizes(size, monkeypatch):
    monkeypatch.setattr(scenes, "EMPTY_FRACTION", 0)
    for image, mask in drawn(6, size=size):
        assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
        assert (mask.shape, mask.dtype) == (size, np.uint8)
        assert present(mask)


def test_every_labelled_class_is_visible():
    for _, mask in drawn(60, size=(64, 80)):
        counts = np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)
        assert len(counts) == len(CLASSES) + 1
        # 16 px at least when placed, of which later objects leave at least half.
        assert all(counts[value] >= 8 for value in present(mask))


def test_all_classes_sizes_and_empty_scenes_occur():
    masks = [mask for _, mask in drawn(150)]
    shares = [(mask > 0).mean() for mask in masks]
    assert set().union(*map(present, masks)) == set(range(1, len(CLASSES) + 1))
    assert {len(present(mask)) for mask in masks} == {0, 1, 2, 3}
    assert 2 <= sum(not share for share in shares) <= 15
    assert min(share for share in shares if share) < 0.06
    assert max(shares) > 0.3


def test_objects_are_painted_inside_their_masks_only(monkeypatch):
    # Until the objects come, both scenes are the same; shadows make the ground darker, never brighter.
    monkeypatch.setattr(scenes, "EMPTY_FRACTION", 1)
    ((empty, nothing),) = drawn(1, seed=5, size=(128, 128))
    monkeypatch.setattr(scenes, "EMPTY_FRACTION", 0)
    ((image, mask),) = drawn(1, seed=5, size=(128, 128))
    assert not nothing.any()
    gain = (image.astype(int) - empty).max(-1)
    assert (gain[mask > 0] > 40).mean() > 0.3
    assert (gain[mask == 0] > 40).mean() < 0.01


def test_mask_values_follow_the_order_of_the_classes():
    """Told by the marks: pixels of a class's own colour lie under its value."""
    pictures = list(drawn(40, seed=2))
    for value, name in enumerate(CLASSES, start=1):
        mark = np.array(MARKS[name]) / np.linalg.norm(MARKS[name])
        own = others = 0
        for image, mask in pictures:
            pixels = image.astype(float)
            length = np.linalg.norm(pixels, axis=-1)
            like_mark = (pixels @ mark > 0.985 * length) & (length > 150)
            own += int((like_mark & (mask == value)).sum())
            others += int((like_mark & (mask != value)).sum())
        assert own > 50
        assert others < 0.1 * own
