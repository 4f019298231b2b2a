"""Drawn scenes: masks that are exact, labels that agree with them, and nothing random but the generator."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.datasets.figures import FIGURES
from swtformer.datasets.scenes import draw_scene

CLASSES = tuple(FIGURES)
MARKS = {
    "butterfly": (0, 130, 255),
    "cat": (30, 235, 50),
    "fish": (255, 20, 200),
    "flower": (255, 220, 0),
    "owl": (255, 80, 0),
}


def scenes(count, *, height=96, width=96, seed=0, classes=CLASSES, **options):
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        yield draw_scene(rng, height=height, width=width, classes=classes, **options)


def test_the_same_state_of_the_generator_gives_the_same_scene():
    (one,), (same,), (other,) = (scenes(1, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.mask, same.mask)
    assert one.present == same.present
    assert not np.array_equal(one.image, other.image)


def test_the_global_generator_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    list(scenes(1))
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 200), (150, 41)])
def test_kinds_and_sizes(height, width):
    for scene in scenes(6, height=height, width=width):
        assert (scene.image.shape, scene.image.dtype) == ((height, width, 3), np.uint8)
        assert (scene.mask.shape, scene.mask.dtype) == ((height, width), np.uint8)
        assert scene.present, "without background_fraction every scene holds an object"


def test_every_labelled_class_is_visible():
    for scene in scenes(60, height=64, width=80):
        counts = np.bincount(scene.mask.ravel(), minlength=len(CLASSES) + 1)
        assert scene.present == tuple(k for k in range(len(CLASSES)) if counts[k + 1])
        # 16 px at least when placed, of which later objects leave at least half.
        assert all(counts[k + 1] >= 8 for k in scene.present)


def test_all_classes_sizes_and_empty_scenes_occur():
    drawn = list(scenes(150, background_fraction=0.1))
    shares = [(scene.mask > 0).mean() for scene in drawn]
    assert {k for scene in drawn for k in scene.present} == set(range(len(CLASSES)))
    assert {len(scene.present) for scene in drawn} == {0, 1, 2, 3}
    assert 5 <= sum(not scene.present for scene in drawn) <= 30
    assert min(share for share in shares if share) < 0.06
    assert max(shares) > 0.3


def test_no_object_without_a_chance_for_one():
    for scene in scenes(5, background_fraction=1.0):
        assert scene.present == ()
        assert not scene.mask.any()


def test_objects_are_painted_inside_their_masks_only():
    # Until the objects come, both scenes are the same; shadows make the ground darker, never brighter.
    (empty,) = scenes(1, seed=5, height=128, width=128, background_fraction=1.0)
    (scene,) = scenes(1, seed=5, height=128, width=128, background_fraction=0.0)
    assert not empty.mask.any()
    gain = (scene.image.astype(int) - empty.image).max(-1)
    inside = scene.mask > 0
    assert (gain[inside] > 40).mean() > 0.3
    assert (gain[~inside] > 40).mean() < 0.01


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[::-1], ("fish", "owl"), ("cat",)])
def test_mask_values_follow_the_order_of_the_classes(classes):
    """Told by the marks: pixels of a class's own colour lie under its value."""
    for value, name in enumerate(classes, start=1):
        mark = np.array(MARKS[name]) / np.linalg.norm(MARKS[name])
        own = others = 0
        for scene in scenes(12, seed=2, classes=classes):
            pixels = scene.image.astype(float)
            length = np.linalg.norm(pixels, axis=-1)
            like_mark = (pixels @ mark > 0.985 * length) & (length > 150)
            own += int((like_mark & (scene.mask == value)).sum())
            others += int((like_mark & (scene.mask != value)).sum())
        assert own > 50
        assert others < 0.1 * own


def test_a_single_class_gives_scenes_of_one_class():
    assert {scene.present for scene in scenes(8, classes=("owl",))} == {(0,)}
