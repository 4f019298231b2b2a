"""PSA and IRN: what their networks give on any backbone, and how maps walk along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from support.blocks import draw_blocks
from swtformer.backbones import create_backbone
from swtformer.functional.affinity import boundary_affinity, half_disc
from swtformer.refiners import LearnedRefiner, create_refiner
from swtformer.refiners.irn import IRN
from swtformer.refiners.psa import PSA
from swtformer.refiners.walk import STEPS, WalkRefiner, resized
from swtformer.settings import RefineSettings

METHODS = ("psa", "irn")


def built(method: str, backbone: str = "swin_nano", **changes: Any) -> WalkRefiner:
    torch.manual_seed(0)
    refiner = create_refiner(RefineSettings.model_validate({"method": method, **changes}))
    assert isinstance(refiner, WalkRefiner)
    assert isinstance(refiner, LearnedRefiner)
    refiner.build(create_backbone(backbone, weights="none"))
    return refiner


@pytest.mark.parametrize("backbone", ["swin_nano", "mobilenetv2_100"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (75, 101), (32, 33)])
def test_networks_give_affinities_on_the_grid_of_their_stage(
    method: str, backbone: str, height: int, width: int
) -> None:
    network = built(method, backbone).network
    images = torch.rand(2, 3, height, width)
    with torch.no_grad():
        grid = network.pyramid(images)[1 if method == "psa" else 0].shape[-2:]
        affinity = network.affinity(images, radius=5)
    assert affinity.shape == (2, 34, *grid)
    assert affinity.min() >= 0
    assert affinity.max() <= 1
    offset = half_disc(5).index((4, 0))
    assert (affinity[:, offset, -4:] == 0).all()
    assert (affinity[:, offset, :-4] > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_new_layer_is_trained_and_drawn_anew(method: str) -> None:
    network = built(method, "mobilenetv2_100").network.train()
    network.affinity(torch.rand(2, 3, 64, 64), radius=5).mean().backward()
    assert all(parameter.grad is not None for parameter in network.new_parameters())
    is_trained = [parameter.grad is not None for parameter in network.backbone.parameters()]
    assert any(is_trained) == (method == "psa")
    before = [parameter.clone() for parameter in network.new_parameters()]
    torch.manual_seed(5)
    network.reset()
    drawn = [parameter.clone() for parameter in network.new_parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(before, drawn, strict=True))
    torch.manual_seed(5)
    network.reset()
    assert all(torch.equal(a, b) for a, b in zip(drawn, network.new_parameters(), strict=True))


def test_batch_statistics_of_the_run_are_kept() -> None:
    network = built("psa", "mobilenetv2_100").network.train()
    norms = [module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (1, 160), (3, 5), (50, 70)])
@pytest.mark.parametrize("grid", [(1, 1), (13, 18)])
def test_any_size_and_any_number_of_classes(
    method: str, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    refiner = built(method, walk_steps=16)
    image = torch.rand(3, *size)
    for channels in (1, 3):
        maps = torch.rand(channels, *grid)
        refined = refiner.refine(image, maps)
        assert len(refined) == channels
        assert refined.isfinite().all()
        assert refined.min() >= 0
        assert refined.max() <= 1
    maps[1] = 0
    refined = refiner.refine(image, maps)
    assert (refined[1] == 0).all()
    assert refined[2].any()


def test_irn_walks_stop_at_the_boundaries_that_its_network_sees() -> None:
    refiner = built("irn")

    class Wall(nn.Module):
        def boundaries(self, images: torch.Tensor) -> torch.Tensor:
            made = torch.zeros(len(images), 16, 16)
            made[0, :, 8] = 1
            made[1, :, 7] = 1  # the mirror image of column 8
            return made

    refiner.network = Wall()  # type: ignore[assignment]
    maps = torch.zeros(2, 16, 16)
    maps[1, 4, 2] = 1
    maps[0, 12, 13] = 1
    refined = refiner.refine(torch.rand(3, 64, 64), maps)
    assert refined[1, :, :8].min() > 0
    assert refined[1, :, 8:].max() < 1e-6
    assert refined[0, :, :9].max() < 1e-6


def test_irn_keeps_the_shares_of_its_walk() -> None:
    example = draw_blocks(1)[0]
    refiner = built("irn")
    assert isinstance(refiner, IRN)
    refined = refiner.refine(example.image, example.maps)
    with torch.no_grad():
        views = torch.stack([example.image, example.image.flip(-1)])
        straight, mirrored = refiner.network.boundaries(views)
    boundaries = (straight + mirrored.flip(-1)) / 2
    assert boundaries.max() > 0.3
    affinity = boundary_affinity(boundaries[None], radius=5)[0]
    start = resized(example.maps, boundaries.shape) * (1 - boundaries)
    walked = refiner.walked(start, affinity)
    torch.testing.assert_close(refined / refined.sum(0), walked / walked.sum(0))
    # Maps that add up to 1 still do.
    total = resized(example.maps, boundaries.shape).sum(0)
    assert total.min() > 0.999
    torch.testing.assert_close(refined.sum(0), torch.ones_like(total), atol=1e-5, rtol=0)


def test_irn_with_the_published_constant_background() -> None:
    example = draw_blocks(1)[0]
    refined = built("irn", irn_background=0.25).refine(example.image, example.maps)
    assert (refined[0] == 0.25).all()
    assert refined[1].max().item() == pytest.approx(1.0)
    alone = built("irn", irn_background=0.25).refine(example.image, example.maps[:1])
    assert (alone == 0.25).all()


def test_psa_walks_along_its_features() -> None:
    refiner = built("psa")
    example = draw_blocks(1)[0]
    with torch.no_grad():
        affinity = refiner.network.affinity(example.image[None], radius=5)[0]
    start = resized(example.maps, affinity.shape[-2:])
    torch.testing.assert_close(refiner.refine(example.image, example.maps), refiner.walked(start, affinity))
    weak = built("psa", walk_beta=100.0).refine(example.image, example.maps)
    assert not torch.allclose(weak, refiner.refine(example.image, example.maps), atol=1e-3)


def test_published_numbers() -> None:
    assert (PSA.beta, PSA.crop_px, PSA.radius) == (8, 448, 5)
    assert (IRN.beta, IRN.crop_px, IRN.radius) == (10, 512, 10)
    assert RefineSettings().walk_radius == 5
    assert STEPS["cam"] == 2**8


def test_resized_maps_keep_their_mean_and_constants() -> None:
    maps = torch.rand(2, 24, 24)
    assert resized(maps, (24, 24)) is maps
    small = resized(maps, (6, 6))
    np.testing.assert_allclose(small.mean((1, 2)), maps.mean((1, 2)), atol=0.05)
    torch.testing.assert_close(resized(torch.full((1, 7, 5), 0.3), (11, 3)), torch.full((1, 11, 3), 0.3))
