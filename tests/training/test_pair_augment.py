from __future__ import annotations

import numpy as np
import pytest

from swtformer.settings import SegmentSettings
from swtformer.training.pair_augment import ScaleCrop, WholePair, create_pair_augmentation
from swtformer.training.placement import MEAN_COLOUR

HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope="module")
def coordinates() -> tuple[np.ndarray, np.ndarray]:
    """An image whose red and green are twice the row and column, and a mask of 10-pixel stripes of both."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([2 * rows, 2 * columns, np.full_like(rows, 77)], axis=-1).astype(np.uint8)
    mask = (rows // 10 * 12 + columns // 10).astype(np.uint8)
    return image, mask


def draws(augment, image, mask, count=40):
    for seed in range(count):
        yield augment(image, mask, np.random.default_rng(seed))


def test_mask_and_image_move_together(coordinates) -> None:
    """Where the crop shows row y and column x, its mask has the stripe of (y, x)."""
    scales, mirrored = set(), set()
    for pair in draws(ScaleCrop(64, (0.5, 2.0)), *coordinates):
        image, mask = pair.image.numpy().astype(float), pair.mask.numpy()
        known = mask != 255
        assert known.any()
        rows, columns = image[0] / 2, image[1] / 2
        # Nearest neighbour and bicubic may disagree next to a stripe's edge: look inside of stripes.
        inside = known & (abs(rows % 10 - 4.5) < 3) & (abs(columns % 10 - 4.5) < 3)
        assert inside.sum() > 50
        expected = rows // 10 * 12 + columns // 10
        assert (mask[inside] == expected[inside]).all()
        line = columns[known.any(1)][0][known[known.any(1)][0]]
        mirrored.add(bool(line[0] > line[-1]))
        scales.add(round(abs(line[1:] - line[:-1]).mean(), 1))
    assert mirrored == {True, False}
    assert min(scales) < 0.7
    assert max(scales) > 1.5


def test_padding_is_mean_coloured_and_unknown(coordinates) -> None:
    padded = 0
    for pair in draws(ScaleCrop(160, (0.5, 0.9)), *coordinates):
        outside = pair.image[2] != 77
        assert (pair.mask.numpy()[outside.numpy()] == 255).all()
        assert (pair.mask.numpy()[~outside.numpy()] != 255).all()
        assert (pair.image.permute(1, 2, 0)[outside].numpy() == MEAN_COLOUR).all()
        padded += int(outside.sum())
    assert padded > 0


def test_masks_get_no_new_labels(coordinates) -> None:
    image, _ = coordinates
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:60, 30:80] = 9
    for pair in draws(ScaleCrop(48, (0.5, 2.0)), image, mask):
        assert set(np.unique(pair.mask)) <= {0, 9, 255}


@pytest.mark.parametrize("enlarged", [1, 2, 5])
def test_photographs_of_one_long_side_look_alike(enlarged: int) -> None:
    image = np.zeros((30 * enlarged, 40 * enlarged, 3), np.uint8)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[:, : 20 * enlarged] = 1
    augment = ScaleCrop(100, (1.0, 1.0), long_side_px=80)
    for pair in draws(augment, image, mask):
        assert (pair.mask != 255).sum() == 60 * 80
        assert (pair.mask == 1).sum() == 60 * 40


def test_jitter_leaves_the_mask_alone(coordinates) -> None:
    image, mask = coordinates
    plain = create_pair_augmentation(SegmentSettings(crop_px=64, jitter=0))
    coloured = create_pair_augmentation(SegmentSettings(crop_px=64, jitter=0.5))
    first, second = next(draws(plain, image, mask)), next(draws(coloured, image, mask))
    assert (first.mask == second.mask).all()
    assert (first.image != second.image).any()


def test_a_sample_is_a_function_of_its_generator(coordinates) -> None:
    augment = create_pair_augmentation(SegmentSettings(crop_px=64))
    first, again = (augment(*coordinates, np.random.default_rng(3)) for _ in range(2))
    assert (first.image == again.image).all()
    assert (first.mask == again.mask).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (3, 5)])
def test_tiny_photographs(size: tuple[int, int]) -> None:
    image, mask = np.zeros((*size, 3), np.uint8), np.ones(size, np.uint8)
    for augment in (ScaleCrop(32, (0.5, 2.0)), WholePair(32)):
        pair = augment(image, mask, np.random.default_rng(0))
        assert pair.image.shape == (3, 32, 32)
        assert (pair.mask == 1).any()


def test_validation_sees_the_whole_pair(coordinates) -> None:
    pair = WholePair(60)(*coordinates, np.random.default_rng(0))
    known = pair.mask.numpy() != 255
    assert known.sum() == 45 * 60
    assert known[7:52].all()
    assert set(np.unique(pair.mask.numpy()[known])) == set(np.unique(coordinates[1]))
