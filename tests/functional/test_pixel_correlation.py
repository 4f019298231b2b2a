"""The pixel correlation module against hand-worked numbers, loops and invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swtformer.functional.pixel_correlation import only_strongest, pixel_correlation


def by_loop(maps: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Eq. 8 for one image, one pair of places at a time, with the code's 1e-5."""
    k, h, w = maps.shape
    places, values = features.reshape(len(features), -1).T, maps.reshape(k, -1)
    units = [place / (np.sqrt((place**2).sum()) + 1e-5) for place in places]
    made = np.zeros_like(values)
    for i in range(h * w):
        weights = np.array([max(0.0, float(units[i] @ units[j])) for j in range(h * w)])
        for channel in range(k):
            made[channel, i] = (weights * values[channel]).sum() / (weights.sum() + 1e-5)
    return made.reshape(maps.shape)


def drawn(seed: int, h: int = 4, w: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, h, w, generator=generator, dtype=torch.float64)
    return maps, torch.randn(2, 6, h, w, generator=generator, dtype=torch.float64)


def test_three_places_by_hand() -> None:
    """Cosines 1, 0 (an angle above 90°, so 0) and 1/√2."""
    features = torch.tensor([[[[2.0, -1.0, 3.0]], [[0.0, 0.0, 3.0]]]])
    maps = torch.tensor([[[[1.0, 0.5, 0.0]]]])
    # First: 1·1 + 0·½ + 0.7071·0 over 1.7071; second: ½ over 1; third: 0.7071·1 + 1·0 over 1.7071.
    expected = torch.tensor([[[[0.585786, 0.5, 0.414214]]]])
    torch.testing.assert_close(pixel_correlation(maps, features), expected, atol=3e-5, rtol=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_a_loop(seed: int) -> None:
    maps, features = drawn(seed)
    made = pixel_correlation(maps, features)
    for index in range(2):
        expected = by_loop(maps[index].numpy(), features[index].numpy())
        np.testing.assert_allclose(made[index], expected, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_blocks_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps, features = drawn(3)
    whole = pixel_correlation(maps, features)
    monkeypatch.setattr("swtformer.functional.pixel_correlation.ROWS_PER_BLOCK", rows)
    torch.testing.assert_close(pixel_correlation(maps, features), whole, atol=1e-14, rtol=0)


def test_a_constant_map_stays_and_empty_features_give_0() -> None:
    _, features = drawn(4)
    features[0, :, 1, 2] = 0
    made = pixel_correlation(torch.full((2, 1, 4, 5), 0.6, dtype=torch.float64), features)
    assert made[0, 0, 1, 2] == 0
    made[0, 0, 1, 2] = 0.6
    torch.testing.assert_close(made, torch.full_like(made, 0.6), atol=1e-4, rtol=0)


def test_the_length_of_features_does_not_matter() -> None:
    maps, features = drawn(5)
    scale = torch.rand(2, 1, 4, 5, dtype=torch.float64) + 0.5
    torch.testing.assert_close(
        pixel_correlation(maps, features * scale), pixel_correlation(maps, features), atol=1e-4, rtol=1e-4
    )


def test_gradients() -> None:
    maps, features = (each[:1, :, :2, :3].clone().requires_grad_() for each in drawn(6))
    assert torch.autograd.gradcheck(pixel_correlation, (maps, features))


def test_grids_must_be_the_same() -> None:
    with pytest.raises(ValueError, match=r"share a grid, got \(1, 2, 3, 3\) and \(1, 4, 3, 4\)"):
        pixel_correlation(torch.zeros(1, 2, 3, 3), torch.zeros(1, 4, 3, 4))


def test_only_the_strongest_class_stays() -> None:
    """Three places with background 0.1, 0.2 and 0.9; equal classes both stay."""
    maps = torch.tensor([[[[0.1, 0.2, 0.9]], [[0.5, 0.3, 0.0]], [[0.4, 0.3, 0.2]]]])
    expected = torch.tensor([[[[0.1, 0.2, 0.9]], [[0.5, 0.3, 0.0]], [[0.0, 0.3, 0.2]]]])
    assert torch.equal(only_strongest(maps), expected)
