"""SEAM's losses: numbers worked by hand, and loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from swtformer.functional.equivariance import (
    cross_loss,
    equivariance_loss,
    min_pooling_loss,
    scaled_to_range,
)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def validity(*columns: int) -> torch.Tensor:
    """(B, 1, 4, 5) 0/1, where each image's first columns are valid."""
    return torch.stack([(torch.arange(5) < count).double().expand(1, 4, 5) for count in columns])


def test_scaling_by_hand() -> None:
    """Positive parts 0, 1 and 3, range 3: (1 - 1e-5) / (3 + 1e-5) and (3 - 1e-5) / (3 + 1e-5)."""
    maps = torch.tensor([[[[-2.0, 1.0, 3.0]], [[4.0, 4.0, 4.0]]]], dtype=torch.float64)
    made = scaled_to_range(maps)
    assert made[0, 0, 0].tolist() == pytest.approx([0, 0.33332889, 0.99999333], abs=1e-8)
    assert not made[0, 1].any()
    assert scaled_to_range(torch.tensor([[[[2.0, 3.0, 4.0]]]]))[0, 0, 0, 0] == 0


def test_er_by_hand() -> None:
    """Gaps 0.2, 0, 0.4 and 0.4: mean 0.25; 0.3 at the first place alone and 0.2 at the second."""
    first = torch.tensor([[[[0.5, 0.1]], [[0.4, 0.9]]]])
    second = torch.tensor([[[[0.3, 0.1]], [[0.8, 0.5]]]])
    assert equivariance_loss(first, second).item() == pytest.approx(0.25)
    for place, expected in ((0, 0.3), (1, 0.2)):
        valid = torch.eye(2)[place].view(1, 1, 1, 2)
        assert equivariance_loss(first, second, valid=valid).item() == pytest.approx(expected)
    assert equivariance_loss(first, first).item() == 0


def test_er_has_gradients_on_both_sides() -> None:
    first, second = drawn(0, 1, 2, 3, 3).requires_grad_(), drawn(1, 1, 2, 3, 3).requires_grad_()
    equivariance_loss(first, second).backward()
    assert first.grad is not None
    assert torch.equal(first.grad, -second.grad)  # type: ignore[operator]


def test_ecr_by_hand() -> None:
    """Two places of background and two classes; the weaker class counts as 0.

    Gaps to the refined maps: |0.2 - 0.5|, |0.7 - 0.7|, |0.8 - 0.6|, |0 - 0|, |0 - 0.9|, |0.3 - 0.3|; the
    largest two of six are 0.9 and 0.3.
    """
    maps = torch.tensor([[[[0.2, 0.7]], [[0.8, 0.1]], [[0.5, 0.3]]]])
    refined = torch.tensor([[[[0.5, 0.7]], [[0.6, 0.0]], [[0.9, 0.3]]]])
    assert cross_loss(maps, refined, hardest=1 / 3).item() == pytest.approx(0.6)
    assert cross_loss(maps, refined, hardest=1.0).item() == pytest.approx((0.3 + 0.2 + 0.9) / 6)
    # Only the second place, where all agree.
    valid = torch.tensor([[[[0.0, 1.0]]]])
    assert cross_loss(maps, refined, hardest=1.0, valid=valid).item() == pytest.approx(0)


def ecr_by_loop(maps: np.ndarray, refined: np.ndarray, valid: np.ndarray, hardest: float) -> float:
    losses = []
    for own, other, inside in zip(maps, refined, valid, strict=True):
        gaps = []
        for y, x in np.argwhere(inside[0] > 0):
            strongest = own[1:, y, x].max()
            for channel in range(len(own)):
                value = own[channel, y, x]
                value = 0.0 if channel > 0 and value < strongest else value
                gaps.append(abs(value - other[channel, y, x]))
        count = int(len(gaps) * hardest)
        losses.append(np.mean(sorted(gaps)[-count:]))
    return float(np.mean(losses))


@pytest.mark.parametrize("columns", [(5, 5), (5, 3), (2, 4)])
def test_ecr_against_a_loop(columns: tuple[int, int]) -> None:
    maps, refined, valid = drawn(2, 2, 4, 4, 5), drawn(3, 2, 4, 4, 5), validity(*columns)
    expected = ecr_by_loop(maps.numpy(), refined.numpy(), valid.numpy(), 0.2)
    assert cross_loss(maps, refined, hardest=0.2, valid=valid).item() == pytest.approx(expected)
    if columns == (5, 5):
        assert cross_loss(maps, refined, hardest=0.2).item() == pytest.approx(expected)


def test_ecr_steers_the_refined_maps_alone() -> None:
    maps, refined = drawn(4, 1, 3, 2, 2).requires_grad_(), drawn(5, 1, 3, 2, 2).requires_grad_()
    cross_loss(maps, refined, hardest=0.5).backward()
    assert maps.grad is None
    assert refined.grad is not None


def test_min_pooling_by_hand() -> None:
    """Strongest maps 0.6, 0.2, 0, 0.8, 0.5, 0.9, 0.7 and 0.4: the smallest quarter is 0 and 0.2."""
    maps = torch.tensor([[[[0.6, 0.1, -0.3, 0.8, 0.5, 0.9, 0.7, 0.4]], [[0.2, 0.2, -0.1, 0, 0, 0, 0, 0]]]])
    assert min_pooling_loss(maps, smallest=0.25).item() == pytest.approx(0.1)
    # Among the last four, one counts.
    valid = torch.tensor([[[[0, 0, 0, 0, 1.0, 1, 1, 1]]]])
    assert min_pooling_loss(maps, smallest=0.25, valid=valid).item() == pytest.approx(0.4)


@pytest.mark.parametrize("columns", [(5, 5), (3, 4)])
def test_min_pooling_against_a_loop(columns: tuple[int, int]) -> None:
    maps, valid = drawn(6, 2, 3, 4, 5), validity(*columns)
    expected = []
    for own, inside in zip(maps.numpy(), valid.numpy(), strict=True):
        strongest = sorted(own.max(0)[inside[0] > 0])
        expected.append(np.mean(strongest[: len(strongest) // 4]))
    made = min_pooling_loss(maps, smallest=0.25, valid=valid)
    assert made.item() == pytest.approx(np.mean(expected))


def test_an_image_of_padding_alone_costs_nothing() -> None:
    maps, refined, valid = drawn(7, 1, 3, 4, 5), drawn(8, 1, 3, 4, 5).requires_grad_(), validity(0)
    losses = (
        equivariance_loss(maps, refined, valid=valid)
        + cross_loss(maps, refined, hardest=0.2, valid=valid)
        + min_pooling_loss(refined, smallest=0.25, valid=valid)
    )
    assert losses.item() == 0
    losses.backward()
    assert not refined.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("loss", [equivariance_loss, lambda *maps: cross_loss(*maps, hardest=0.2)])
def test_shapes_must_be_the_same(loss: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"must have one shape, got \(1, 2, 3, 3\) and \(1, 2, 3, 4\)"):
        loss(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 4))
