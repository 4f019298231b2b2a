"""Linearised heads of a few layers; test_maps has whole families."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from timm.layers import LayerNorm2d, RmsNorm
from torch import Tensor, nn

from swtformer.cam.linearise import scores_by_place

HEADS: dict[str, Callable[[], list[nn.Module]]] = {
    "linear": list,
    "layer norm": lambda: [nn.LayerNorm(6)],
    "layer norm without parameters": lambda: [nn.LayerNorm(6, elementwise_affine=False)],
    "rms norm": lambda: [nn.RMSNorm(6)],
    "timm's rms norm": lambda: [RmsNorm(6)],
    "hidden layer": lambda: [nn.Linear(6, 6), nn.GELU()],
    "in place": lambda: [nn.Linear(6, 6), nn.Hardswish(inplace=True)],
    "away from 0 at 0": lambda: [nn.Linear(6, 6), nn.Sigmoid()],
    "several": lambda: [nn.LayerNorm(6), nn.Linear(6, 6), nn.SiLU(), nn.RMSNorm(6)],
}
"""Layers between the pooling and the classifier."""


class Pooled(nn.Module):
    """(B, n, 6) features of n places, their mean, some layers, a classifier of 3 classes."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers, nn.Linear(6, 3))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.7)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(features.mean(1))
        return logits


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def split(head: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return scores_by_place(head, head, features, features.flatten(0, 1)[:, None])


@pytest.mark.parametrize("name", HEADS)
def test_the_mean_over_the_places_is_the_score(name: str) -> None:
    head = Pooled(*HEADS[name]()).double()
    features = torch.randn(4, 5, 6, dtype=torch.float64)
    logits, scores = split(head, features)
    assert scores.shape == (4, 5, 3)
    torch.testing.assert_close(logits, head(features).detach(), atol=0, rtol=0)
    torch.testing.assert_close(scores.mean(1), logits, atol=1e-6, rtol=1e-6)
    assert scores.std(1).min() > 1e-3


@pytest.mark.parametrize("name", HEADS)
def test_scores_are_affine_in_the_features_of_a_place(name: str) -> None:
    head = Pooled(*HEADS[name]()).double()
    image = torch.randn(1, 1, 6, dtype=torch.float64)
    first, second = torch.randn(2, 6, dtype=torch.float64)
    places = torch.stack([first, second, 0.25 * first + 0.75 * second])[:, None]
    with torch.no_grad():
        _, scores = scores_by_place(head, head, image, places)
    one, other, between = scores[0]
    torch.testing.assert_close(between, 0.25 * one + 0.75 * other, atol=1e-6, rtol=1e-6)


def test_a_sigmoid_by_hand() -> None:
    """φ(0) + u (φ(v) − φ(0)) / v with v = 2 and u = 1, 3: 0.5 + u (0.8808 − 0.5) / 2."""
    head = nn.Sequential(nn.Sigmoid())
    _, scores = scores_by_place(
        head,
        lambda features: head(features.mean(1)),
        torch.tensor([[[1.0], [3.0]]]),
        torch.tensor([[[1.0]], [[3.0]]]),
    )
    torch.testing.assert_close(scores, torch.tensor([[[0.690399], [1.071196]]]), atol=1e-5, rtol=0)


def test_pooled_inputs_near_0_are_constants() -> None:
    head = nn.Sequential(nn.Sigmoid())
    tiny = torch.full((1, 1, 1), 1e-5)
    _, scores = scores_by_place(
        head, lambda features: head(features.mean(1)), tiny, torch.full((1, 1, 1), 50.0)
    )
    assert scores.item() == pytest.approx(0.5, abs=1e-4)


def test_a_layer_that_is_used_twice_is_fixed_at_each_of_its_inputs() -> None:
    norm, first, last = nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 3)
    layers = nn.ModuleList([norm, first, last]).double()
    features = torch.randn(2, 4, 6, dtype=torch.float64)

    def head(given: Tensor) -> Tensor:
        logits: Tensor = last(norm(first(norm(given.mean(1)))))
        return logits

    with torch.no_grad():
        logits, scores = scores_by_place(layers, head, features, features.flatten(0, 1)[:, None])
    torch.testing.assert_close(scores.mean(1), logits, atol=1e-6, rtol=1e-6)


def test_norms_in_front_of_the_pooling_apply_to_each_place() -> None:
    norm, layer = LayerNorm2d(6), nn.Linear(6, 3)
    model = nn.ModuleList([norm, layer])
    features = 5 * torch.randn(2, 6, 2, 3)

    def head(given: Tensor) -> Tensor:
        logits: Tensor = layer(norm(given).mean((2, 3)))
        return logits

    places = features.flatten(2).mT.flatten(0, 1)[..., None, None]
    with torch.no_grad():
        _, scores = scores_by_place(model, head, features, places)
        expected = layer(norm(features).flatten(2).mT)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


def test_hooks_are_removed_when_the_head_fails() -> None:
    head = Pooled(nn.LayerNorm(6))
    with pytest.raises(RuntimeError, match="shape"):
        scores_by_place(head, head, torch.randn(1, 2, 6), torch.randn(2, 1, 5))
    with pytest.raises(RuntimeError, match="shape"):
        scores_by_place(head, head, torch.randn(1, 2, 5), torch.randn(2, 1, 6))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in head.modules())
