from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from swtformer.functional.scores import label_areas
from swtformer.scoring.paired_bootstrap import paired_bootstrap


def counts(seed: int, *, images: int = 12, right: int = 60) -> Tensor:
    random = np.random.default_rng(seed)
    made = random.integers(0, 20, (images, 3, 3))
    made[:, range(3), range(3)] += random.integers(0, right, (images, 3))
    return torch.from_numpy(made)


def areas(seed: int, *, right: int = 60) -> Tensor:
    return label_areas(counts(seed, right=right))


def miou(matrix: np.ndarray) -> float:
    return float(
        np.mean([matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]) for k in range(3)])
    )


def test_it_is_the_loop_over_drawn_images() -> None:
    first, second = counts(0), counts(1, right=30)
    made = paired_bootstrap(label_areas(first), label_areas(second), draws=300, seed=4)
    generator = torch.Generator().manual_seed(4)
    differences = []
    for size in (250, 50):
        for drawn in torch.randint(12, (size, 12), generator=generator).numpy():
            one, other = (matrix.numpy()[drawn].sum(0) for matrix in (first, second))
            differences.append(miou(one) - miou(other))
    low, high = np.quantile(differences, [0.025, 0.975])
    assert made.value == pytest.approx(miou(first.numpy().sum(0)) - miou(second.numpy().sum(0)))
    assert (made.low, made.high) == pytest.approx((low, high))
    assert made.low < made.value < made.high


def test_a_recipe_does_not_differ_from_itself() -> None:
    made = paired_bootstrap(areas(2), areas(2))
    assert (made.value, made.low, made.high) == (0, 0, 0)


def test_exchanged_recipes_change_the_sign() -> None:
    one = paired_bootstrap(areas(0), areas(1), draws=100)
    other = paired_bootstrap(areas(1), areas(0), draws=100)
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))


def test_labels_of_the_mean_can_be_chosen() -> None:
    first, second = counts(0), counts(1)
    second[:, 0] = first[:, 0]
    second[:, :, 0] = first[:, :, 0]
    assert paired_bootstrap(label_areas(first), label_areas(second), over=[0]).value == 0


@pytest.mark.parametrize("images", [0, 3])
def test_other_images_are_refused(images: int) -> None:
    with pytest.raises(ValueError, match="the areas of the same images"):
        paired_bootstrap(areas(0)[:images], areas(1)[: 2 * images])


def test_seeds_are_averaged_on_the_same_drawn_images() -> None:
    first, second = torch.stack([counts(0), counts(1)]), torch.stack([counts(2), counts(3)])
    made = paired_bootstrap(label_areas(first), label_areas(second), draws=50)
    expected = np.mean([miou(own.sum(0).numpy()) for own in first]) - np.mean(
        [miou(own.sum(0).numpy()) for own in second]
    )
    assert made.value == pytest.approx(expected)
    same = paired_bootstrap(torch.stack([areas(0)] * 2), torch.stack([areas(1)] * 2), draws=50)
    assert same == paired_bootstrap(areas(0), areas(1), draws=50)
