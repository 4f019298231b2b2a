"""Eq. 1 and 3 against numbers worked by hand, NumPy loops and invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swtformer.functional.activation import (
    background_map,
    class_logits,
    likely_classes,
    normalised,
    with_background,
    with_background_present,
)


@pytest.fixture
def raw() -> torch.Tensor:
    return torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_pooling_by_hand() -> None:
    activations = torch.tensor([[[[1.0, 4.0], [-3.0, 2.0]]]], dtype=torch.float64)
    assert class_logits(activations, pooling="gap").item() == 1.0
    assert class_logits(activations, pooling="gmp").item() == 4.0
    weights = [1, 0.996, 0.996**2, 0.996**3]
    expected = (4 + 2 * weights[1] + 1 * weights[2] - 3 * weights[3]) / sum(weights)
    assert class_logits(activations, pooling="gwrp").item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pooling", ["gap", "gmp", "gwrp"])
def test_pooling_ignores_where_a_value_lies(pooling: str, raw: torch.Tensor) -> None:
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    shuffled = raw.flatten(2)[..., order].reshape(raw.shape)
    torch.testing.assert_close(class_logits(raw, pooling=pooling), class_logits(shuffled, pooling=pooling))


def test_normalised_by_hand() -> None:
    maps = torch.tensor([[[[2.0, -1.0], [1.0, 0.5]]]])
    expected = torch.tensor([[[[2.0, 0.0], [1.0, 0.5]]]]) / (2 + 1e-5)
    torch.testing.assert_close(normalised(maps, norm="max"), expected)
    shifted = torch.tensor([[[[4.0, 2.0], [3.0, 2.5]]]])
    expected = torch.tensor([[[[2.0, 0.0], [1.0, 0.5]]]]) / (2 + 1e-5)
    torch.testing.assert_close(normalised(shifted, norm="minmax"), expected)


@pytest.mark.parametrize("norm", ["max", "minmax"])
def test_normalised_against_a_loop(norm: str, raw: torch.Tensor) -> None:
    result = normalised(raw, norm=norm).numpy()
    for b in range(2):
        for c in range(3):
            plane = np.maximum(raw[b, c].numpy(), 0)
            if norm == "minmax":
                plane = plane - plane.min()
            np.testing.assert_allclose(result[b, c], plane / (plane.max() + 1e-5), rtol=1e-12)


def test_normalised_stays_in_range_and_keeps_maps_of_0(raw: torch.Tensor) -> None:
    raw[0, 1] = -raw[0, 1].abs()
    result = normalised(raw, norm="max")
    assert result.min() >= 0
    assert result.max() < 1
    assert not result[0, 1].any()


def test_background_by_hand() -> None:
    maps = torch.tensor([0.2, 0.9]).view(1, 2, 1, 1)
    present = torch.tensor([[1.0, 0.0]])
    assert background_map(maps, present, over="present").item() == pytest.approx(0.8)
    assert background_map(maps, present, over="all").item() == pytest.approx(0.1)


def test_background_fills_an_image_without_classes() -> None:
    maps = torch.rand(1, 2, 3, 3)
    assert (background_map(maps, torch.zeros(1, 2), over="present") == 1).all()


def test_with_background_zeroes_absent_classes_and_follows_a_permutation(raw: torch.Tensor) -> None:
    maps = normalised(raw, norm="max")
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    result = with_background(maps, present, over="present")
    assert result.shape == (2, 4, 4, 5)
    assert not result[0, 2].any()
    torch.testing.assert_close(result[1, 2], maps[1, 1])
    torch.testing.assert_close(result[1, 0], 1 - maps[1, 1])
    order = [2, 0, 1]
    permuted = with_background(maps[:, order], present[:, order], over="present")
    torch.testing.assert_close(permuted[:, 0], result[:, 0])
    torch.testing.assert_close(permuted[:, 1:], result[:, 1:][:, order])


def test_background_is_always_present() -> None:
    assert with_background_present(torch.tensor([[0.0, 1.0]])).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("pooling", ["gap", "gmp", "gwrp"])
def test_gradients(pooling: str, raw: torch.Tensor) -> None:
    raw = raw[:1, :2, :2, :3].clone().requires_grad_()
    present = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    if pooling != "gwrp":  # gwrp ranks in float32, too coarse for finite differences
        assert torch.autograd.gradcheck(lambda x: class_logits(x, pooling=pooling), raw)
    assert torch.autograd.gradcheck(
        lambda x: with_background(normalised(x, norm="max"), present, over="all"), raw
    )


def test_likely_classes_by_hand() -> None:
    """Those of at least the threshold; where there are none, the most probable one."""
    probabilities = torch.tensor([[0.5, 0.2, 0.9], [0.3, 0.4, 0.1]])
    assert likely_classes(probabilities, threshold=0.5).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert likely_classes(probabilities, threshold=0.1).tolist() == [[1, 1, 1], [1, 1, 1]]
