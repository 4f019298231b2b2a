"""What PSA and IRN share: affinities on any backbone, walks and losses by the options, at any size."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from support.blocks import draw_blocks
from support.strides import Strides
from support.walkers import METHODS, built
from swtformer.backbones.base import Backbone
from swtformer.functional.affinity import half_disc
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.irn import IRN
from swtformer.refiners.psa import PSA
from swtformer.refiners.walk import STEPS, WalkRefiner, enlarged
from swtformer.refiners.walk_settings import WalkSettings


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
def test_psa_trains_the_backbone_and_irn_does_not(method: str) -> None:
    network = built(method).network.train()
    network.affinity(torch.rand(2, 3, 64, 64), radius=5).mean().backward()
    is_trained = [parameter.grad is not None for parameter in network.backbone.parameters()]
    assert any(is_trained) == (method == "psa")
    assert network.backbone.training == (method == "psa")


def test_affinities_are_in_full_precision_whatever_the_network_computes_in() -> None:
    image = draw_blocks(1)[0].image[None]
    with torch.autocast("cpu", torch.bfloat16):
        psa, irn = (built(method).network.affinity(image, radius=3) for method in METHODS)
    assert psa.dtype == irn.dtype == torch.float32
    assert len(psa.unique()) > 0.5 * int((psa > 0).sum())  # bf16 has 128 numbers from ½ to 1


def test_published_numbers() -> None:
    assert (PSA.beta, PSA.crop_px, PSA.radius) == (8, 448, 5)
    assert (IRN.beta, IRN.crop_px, IRN.radius) == (10, 512, 10)
    assert WalkSettings().walk_radius == 5
    assert STEPS["cam"] == 2**8


def test_images_are_enlarged_to_what_backbones_need() -> None:
    images = torch.rand(2, 3, 32, 40)
    assert enlarged(images) is images
    assert enlarged(images[:, :, :1]).shape == (2, 3, 32, 40)
    constant = enlarged(torch.full((1, 3, 1, 1), 0.3))
    torch.testing.assert_close(constant, torch.full((1, 3, 32, 32), 0.3))


@final
class Counting(AffinityNetwork):
    """Notes what it is asked for."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.scale = nn.Parameter(torch.zeros(()))
        self.asked: list[tuple[tuple[int, ...], int]] = []

    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        self.asked.append((tuple(images.shape), radius))
        return self.scale.sigmoid().expand(len(images), len(half_disc(radius)), 4, 4)


@final
class Counted(WalkRefiner):
    """Its published numbers are those of no other refiner."""

    network_type = Counting
    network: Counting
    beta = 3.0
    crop_px = 40
    radius = 4
    scales = (1.0, 1.0)

    def _refined(self, images: Tensor, maps: Any) -> Any:
        return maps


@pytest.mark.parametrize(
    ("settings", "crop", "radius"), [({}, 40, 4), ({"fit_crop_px": 48, "fit_radius": 3}, 48, 3)]
)
def test_published_numbers_hold_where_the_settings_say_nothing(
    settings: dict[str, int], crop: int, radius: int
) -> None:
    refiner = Counted(WalkSettings.model_validate({"fit_confident": 1, **settings}))
    refiner.build(Strides())
    assert not refiner.network.training
    (example,) = draw_blocks(1)
    sample = refiner.sample(example, np.random.default_rng(0))
    loss = refiner.losses({name: value[None] for name, value in sample.items()})["affinity"]
    assert refiner.network.asked == [((1, 3, crop, crop), radius)]
    # Every affinity is ½, of every kind of pair.
    assert loss.item() == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize(("settings", "power"), [({}, 3), ({"walk_beta": 2}, 2)])
def test_walks_follow_the_settings(settings: dict[str, int], power: int) -> None:
    """Two pixels of affinity ½: in one step each gives (½)^β / (1 + (½)^β) away; in 0 steps nothing."""
    maps, affinity = torch.tensor([[[1.0, 0]]]), torch.zeros(4, 1, 2)
    affinity[half_disc(2).index((0, 1)), 0, 0] = 0.5

    def walked(steps: int) -> Tensor:
        options = {"walk_steps": steps, "walk_radius": 2, **settings}
        return Counted(WalkSettings.model_validate(options)).walked(maps, affinity)

    away = 0.5**power / (1 + 0.5**power)
    torch.testing.assert_close(walked(1), torch.tensor([[[1 - away, away]]]))
    torch.testing.assert_close(walked(0), maps)


def test_walks_are_as_long_as_their_start_needs() -> None:
    maps, affinity = torch.rand(2, 3, 4), torch.rand(4, 3, 4)
    for source, steps in (("cam", 256), ("rcam", 32)):
        expected = Counted(WalkSettings(walk_radius=2, walk_steps=steps)).walked(maps, affinity)
        walked = Counted(WalkSettings(walk_radius=2), source=source).walked(maps, affinity)
        torch.testing.assert_close(walked, expected, atol=0, rtol=0)


class Largest(TorchDispatchMode):
    """Notes the largest number of values that a tensor made meanwhile holds."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        self.values = max(self.values, *sizes, 0)
        return made


def test_the_walk_of_1000_by_1000_pixels_never_holds_pairs_of_all_pixels() -> None:
    """On IRN's grid of 250×250: 34 weights a pixel and no more, against 62,500 of the dense matrix."""
    refiner = Counted(WalkSettings(walk_steps=3))
    largest = []
    for side in (125, 250):
        maps, affinity = torch.rand(2, side, side), torch.rand(len(half_disc(5)), side, side)
        with Largest() as mode:
            refiner.walked(maps, affinity)
        largest.append(mode.values)
        assert 34 * side**2 <= mode.values <= 34 * side * (side + 5)
    assert largest[1] / largest[0] == pytest.approx(4, rel=0.05)
