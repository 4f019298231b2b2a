"""What the tries compute, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytest.importorskip("segmentation_models_pytorch")
Script = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


def test_collision_is_the_chance_of_equal_labels(script: Script) -> None:
    logits = torch.tensor([0.7, 0.2, 0.1]).log().view(1, 3, 1, 1)
    shares = torch.tensor([0.5, 0.5, 0.0]).view(1, 3, 1, 1)
    expected = -math.log(0.5 * 0.7 + 0.5 * 0.2)
    assert float(script("try_losses")._collision(logits, shares)) == pytest.approx(expected, abs=1e-4)


def test_two_gaussians_tell_low_losses_from_high_ones(script: Script) -> None:
    generator = torch.Generator().manual_seed(0)
    low, high = torch.rand(800, generator=generator) / 10, 2 + torch.rand(200, generator=generator)
    made = script("try_losses").posterior_of_lower(torch.cat([low, high]))
    assert made[:800].min() > 0.99
    assert made[800:].max() < 0.01


def test_a_walk_keeps_to_tokens_that_are_alike(script: Script) -> None:
    tokens = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    maps = torch.tensor([[1.0, 0.0, 0.5, 0.0]])
    options = {"beta": 8, "steps": 3}
    walked = script("map_tries").walked
    torch.testing.assert_close(
        walked(maps, tokens, torch.Size([1, 4]), radius=9.0, **options),
        torch.tensor([[0.5, 0.5, 0.25, 0.25]]),
    )
    torch.testing.assert_close(walked(maps, tokens, torch.Size([1, 4]), radius=0.5, **options), maps)


def test_similarities_of_the_set_are_added_by_their_share(script: Script) -> None:
    tries = script("map_tries")
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[:, None]  # two tokens, (1, 0) and (0, 1)
    seen = tries.Seen("a", (1,), (4, 8), features, (2,), torch.zeros(2, 1, 2))
    own = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # background, class
    whole = tries.Whole(
        {"a": own},
        {1: (torch.tensor([[1.0, 0.0], [0.6, 0.8]]), ["a", "b"])},
        (torch.tensor([[0.0, 1.0]]), ["b"]),
        torch.zeros(0, 2),
    )
    made = tries.of_set(foreground="mean", background="mean", share=0.25)(seen, whole)
    torch.testing.assert_close(made, torch.tensor([[0.0, 1.0], [0.9, 0.2]]))
