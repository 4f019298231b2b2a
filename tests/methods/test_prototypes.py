"""Methods with prototypes, beside a loop over tokens, and readings by their own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.functional.views import resized
from swtformer.methods import Batch
from swtformer.methods.prototypes import Reading, similarities_of_pairs

READING = Reading("none", "fused", "relu", 0.5, "none", "each")


def _maps(seed: int, channels: int, side: int = 3) -> torch.Tensor:
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(seed))


def _by_loop(tokens: np.ndarray, fused: np.ndarray, cam: np.ndarray, weight: float) -> np.ndarray:
    """(C+1, N) positive cosines to the prototypes; a token is a seed of the map it overlaps most with."""
    unit = tokens / np.linalg.norm(tokens, axis=0)
    overlaps = np.zeros_like(cam)
    for token in range(tokens.shape[1]):
        affinity = np.maximum(unit[:, token] @ unit, 0)
        for label, activations in enumerate(cam):
            shared = (affinity * activations).sum()
            union = affinity.sum() + activations.sum() - shared
            overlaps[label, token] = shared / union * (weight if label == 0 else 1)
    owner = overlaps.argmax(0)
    made = np.zeros_like(cam)
    for label in range(len(cam)):
        if (owner == label).any():
            centre = fused[:, owner == label].mean(1)
            norms = np.linalg.norm(centre) * np.linalg.norm(fused, axis=0)
            made[label] = np.maximum(centre @ fused / norms, 0)
    return made


@pytest.mark.parametrize("seed_features", ["last", "fused"])
def test_refining_is_the_loop_over_tokens(seed_features: Any) -> None:
    last, fused, cam = _maps(0, 4) - 0.5, _maps(1, 5) - 0.5, _maps(2, 3)
    present = torch.ones(1, 2)
    made = replace(READING, seed_features=seed_features).refine(last, fused, cam, present)
    tokens = last if seed_features == "last" else fused
    expected = _by_loop(*(maps[0].flatten(1).numpy() for maps in (tokens, fused, cam)), weight=0.5)
    np.testing.assert_allclose(made.similarities[0].flatten(1), expected, atol=1e-5)
    assert (expected.max(1) > 0).sum() > 1


def test_cams_are_brought_to_the_grid_of_the_tokens() -> None:
    last, fused, cam = _maps(0, 4) - 0.5, _maps(1, 5, side=6) - 0.5, _maps(2, 3, side=12)
    reading = replace(READING, seed_features="last")
    made = reading.refine(last, fused, cam, torch.ones(1, 2))
    expected = reading.refine(last, fused, resized(cam, (3, 3)), torch.ones(1, 2))
    assert made.similarities.shape == (1, 3, 6, 6)
    torch.testing.assert_close(made.similarities, expected.similarities)


def test_competitors_are_the_present_classes_or_all() -> None:
    present = torch.tensor([[0.0, 1.0, 0.0]])
    assert READING.competitors(present).tolist() == [[0, 1, 0]]
    assert replace(READING, competing="all").competitors(present).tolist() == [[1, 1, 1]]


def test_without_a_background_no_token_is_a_seed_of_it() -> None:
    model = tiny("swtformer_v2")
    assert model.reading.background_weight == 0.5
    model.has_background = False
    assert model.reading.background_weight == 0
    encoding = model.encode(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    seeds = model.localize(encoding, torch.ones(1, len(CLASSES))).seeds
    assert seeds[:, 0].sum() == 0
    assert seeds.sum() > 0


def test_a_method_without_a_fusion_has_its_stages_side_by_side() -> None:
    fused, without = tiny("swtformer_v2"), tiny("swtformer_v3")
    assert any(name.startswith("fusion.") for name, _ in fused.named_parameters())
    assert not hasattr(without, "fusion")
    pyramid = without.encode(torch.rand(1, 3, 64, 64)).pyramid
    assert without.fused(pyramid).shape[1] == sum(stage.shape[1] for stage in pyramid)


def test_the_fusion_steers_no_backbone() -> None:
    model = tiny("swtformer_v2")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model.fused(model.encode(images).pyramid).sum().backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert model.fusion.projections[0].weight.grad.abs().sum() > 0


def test_valid_pixels_are_taken_to_the_grid_of_the_maps() -> None:
    model = tiny("swtformer_v2")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    valid = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    valid[..., :32] = True
    batch = Batch(images, torch.ones(1, len(CLASSES)), valid, index=torch.arange(1))
    cam, rcam, kept = model.compared(batch, model.encode(images))
    assert kept is not None
    assert cam.shape == rcam.shape
    assert kept.shape[-2:] == cam.shape[-2:]
    half = kept.shape[-1] // 2
    assert kept[..., :half].all()
    assert not kept[..., half:].any()
    assert model.compared(replace(batch, valid=None), model.encode(images))[2] is None


@torch.no_grad()
def test_a_pair_of_views_is_added_before_its_prototypes() -> None:
    """A view and its mirror image, turned back, are one image of twice its features: the same cosines."""
    model = tiny("swtformer_v3")
    present, grid = torch.ones(1, len(CLASSES)), (16, 16)
    encoding = model.encode(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    turned = replace(
        encoding,
        pyramid=tuple(stage.flip(-1) for stage in encoding.pyramid),
        activations=encoding.activations.flip(-1),
    )
    given: dict[str, Any] = {"reading": model.reading, "pooled": None, "grid": grid}
    alone = similarities_of_pairs(model, [[(False, encoding)]], present, **given)
    together = similarities_of_pairs(model, [[(False, encoding), (True, turned)]], present, **given)
    turned_alone = similarities_of_pairs(model, [[(True, turned)]], present, **given)
    two_scales = similarities_of_pairs(model, [[(False, encoding)], [(False, encoding)]], present, **given)
    assert alone.shape == (1, len(CLASSES) + 1, *grid)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(turned_alone, alone)
    torch.testing.assert_close(two_scales, 2 * alone)
