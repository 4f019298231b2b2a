"""Eq. 2, 5 and 6 against numbers worked by hand, NumPy loops, invariants and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from swtformer.functional.losses import (
    classification_loss,
    consistency_loss,
    contrastive_loss,
    literal_contrast,
)

READINGS = ["literal", "per_class", "matrix"]


def _maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.rand(2, 4, 3, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    absent = present[:, :, None, None]
    first[:, 1:] *= absent
    second[:, 1:] *= absent
    return first, second, present


def test_classification_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    present = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    expected = -(math.log(0.5) + math.log(0.25)) / 2
    assert classification_loss(logits, present).item() == pytest.approx(expected)


def test_classification_is_positive_and_falls_when_right() -> None:
    present = torch.tensor([[1.0, 0.0]])
    right, wrong = torch.tensor([[2.0, -2.0]]), torch.tensor([[-2.0, 2.0]])
    assert 0 < classification_loss(right, present) < classification_loss(wrong, present)


def test_consistency_by_hand() -> None:
    first = torch.tensor([[[[1.0, 0.0]], [[0.5, 0.5]]]])
    second = torch.tensor([[[[0.0, 0.0]], [[0.5, 0.1]]]])
    present = torch.zeros(1, 1)
    assert consistency_loss(first, second, present, over="all").item() == pytest.approx((0.5 + 0.2) / 2)
    assert consistency_loss(first, second, present, over="present").item() == pytest.approx(0.5)
    valid = torch.tensor([[[[0.0, 1.0]]]])
    assert consistency_loss(first, second, present, over="all", valid=valid).item() == pytest.approx(0.2)


@pytest.mark.parametrize("over", ["all", "present"])
def test_consistency_against_a_loop(over: str) -> None:
    first, second, present = _maps()
    total = []
    for b in range(2):
        channels = [c for c in range(4) if over == "all" or c == 0 or present[b, c - 1]]
        total.append(np.mean([np.abs((first[b, c] - second[b, c]).numpy()).mean() for c in channels]))
    assert consistency_loss(first, second, present, over=over).item() == pytest.approx(np.mean(total))


def test_consistency_does_not_depend_on_resolution() -> None:
    first, second, present = _maps()
    small = consistency_loss(first, second, present, over="all")
    large = [item.repeat_interleave(2, -1).repeat_interleave(2, -2) for item in (first, second)]
    assert consistency_loss(*large, present, over="all").item() == pytest.approx(small.item())


def test_literal_contrast_has_its_minimum_at_nine_thirteenths() -> None:
    """Eq. 6 as printed is smallest at s = 9/13 with 2/13, and 2/9 at s = 1. Nobody may "fix" it."""
    grid = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    values = literal_contrast(grid)
    assert grid[values.argmin()].item() == pytest.approx(9 / 13, abs=1e-5)
    assert values.min().item() == pytest.approx(2 / 13, abs=1e-9)
    assert literal_contrast(torch.tensor(1.0, dtype=torch.float64)).item() == pytest.approx(2 / 9)
    assert literal_contrast(torch.tensor(0.0)).item() == 0.5


def test_equal_maps_cost_two_ninths_read_literally() -> None:
    first, _, present = _maps()
    assert contrastive_loss(first, first, present, reading="literal").item() == pytest.approx(2 / 9)


def test_equal_maps_that_do_not_overlap_cost_nothing_in_the_matrix() -> None:
    maps = torch.zeros(1, 3, 1, 3)
    maps[0, 0, 0, 0] = maps[0, 1, 0, 1] = maps[0, 2, 0, 2] = 1
    present = torch.ones(1, 2)
    assert contrastive_loss(maps, maps, present, reading="matrix").item() == pytest.approx(0, abs=1e-12)
    swapped = maps[:, [0, 2, 1]]
    # Two of three pulls cost 1; two of six pushes cost 4/9.
    expected = (2 / 3 + (2 * 4 / 9) / 6) / 2
    assert contrastive_loss(maps, swapped, present, reading="matrix").item() == pytest.approx(expected)


@pytest.mark.parametrize("reading", READINGS)
def test_contrast_against_a_loop(reading: str) -> None:
    first, second, present = _maps(4)
    per_image = []
    for b in range(2):
        channels = [c for c in range(4) if c == 0 or present[b, c - 1]]

        def cosine(x: torch.Tensor, y: torch.Tensor) -> float:
            x, y = x.flatten(), y.flatten()
            return float((x @ y) / (x.norm() * y.norm()))

        def printed(s: float) -> float:
            return 0.5 * ((2 / 3 * s) ** 2 + (1 - s) ** 2)

        if reading == "literal":
            per_image.append(printed(cosine(first[b], second[b])))
        elif reading == "per_class":
            per_image.append(np.mean([printed(cosine(first[b, c], second[b, c])) for c in channels]))
        else:
            pull = np.mean([(1 - cosine(first[b, c], second[b, c])) ** 2 for c in channels])
            push = np.mean(
                [
                    (2 / 3 * cosine(first[b, i], second[b, j])) ** 2
                    for i in channels
                    for j in channels
                    if i != j
                ]
            )
            per_image.append(0.5 * (pull + push))
    result = contrastive_loss(first, second, present, reading=reading)
    assert result.item() == pytest.approx(np.mean(per_image), rel=1e-9)


@pytest.mark.parametrize("reading", READINGS)
def test_contrast_ignores_padded_pixels_and_class_order(reading: str) -> None:
    first, second, present = _maps(6)
    value = contrastive_loss(first, second, present, reading=reading)
    padded = [torch.nn.functional.pad(item, (0, 2), value=0.7) for item in (first, second)]
    valid = torch.nn.functional.pad(torch.ones(2, 1, 3, 5, dtype=torch.float64), (0, 2))
    assert contrastive_loss(*padded, present, reading=reading, valid=valid).item() == pytest.approx(
        value.item()
    )
    order = [2, 0, 1]
    moved = [torch.cat([item[:, :1], item[:, 1:][:, order]], dim=1) for item in (first, second)]
    assert contrastive_loss(*moved, present[:, order], reading=reading).item() == pytest.approx(value.item())


@pytest.mark.parametrize("reading", READINGS)
def test_an_image_without_classes_is_finite(reading: str) -> None:
    maps = torch.zeros(1, 3, 2, 2, requires_grad=True)
    background = torch.ones(1, 1, 2, 2)
    first = torch.cat([background, maps[:, 1:]], dim=1)
    loss = contrastive_loss(first, first.detach(), torch.zeros(1, 2), reading=reading)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("reading", READINGS)
def test_gradients(reading: str) -> None:
    first, second, present = _maps(8)
    first, second = (item[:, :, :2, :2].clone().requires_grad_() for item in (first + 0.01, second + 0.01))
    assert torch.autograd.gradcheck(
        lambda x, y: contrastive_loss(x, y, present, reading=reading), (first, second)
    )
    assert torch.autograd.gradcheck(
        lambda x, y: consistency_loss(x, y, present, over="present"), (first, second)
    )


def test_classification_gradients() -> None:
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: classification_loss(x, present), logits)


def test_shapes_must_agree() -> None:
    first, second, present = _maps()
    with pytest.raises(ValueError, match="one shape"):
        consistency_loss(first, second[..., :2], present, over="all")
    with pytest.raises(ValueError, match="one shape"):
        contrastive_loss(first, second[..., :2], present, reading="matrix")
