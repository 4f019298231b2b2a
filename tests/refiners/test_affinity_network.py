"""What the networks of PSA and IRN share; each has its own tests beside this file."""

from __future__ import annotations

from typing import final

import pytest
import torch
from torch import Tensor, nn

from support.strides import Strides
from swtformer.backbones.base import Backbone
from swtformer.refiners.affinity_network import AffinityNetwork


@final
class Closeness(AffinityNetwork):
    """One new layer, whose name begins as the backbone's does."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.backbone_scale = nn.Parameter(torch.ones(()))

    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        return self.pyramid(images)[0][:, :radius] * self.backbone_scale


def test_the_backbone_gets_images_normalised_by_its_own_statistics() -> None:
    images = torch.rand(2, 3, 64, 96)
    pyramid = Closeness(Strides()).pyramid(images)
    assert [tuple(stage.shape[2:]) for stage in pyramid] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    expected = torch.stack([images[:, 0] * 2 - 1, images[:, 1] * 4 - 1, images[:, 2] / 2], dim=1)
    torch.testing.assert_close(pyramid[0], expected[..., ::4, ::4])


def test_batch_statistics_are_kept() -> None:
    network = Closeness(Strides()).train()
    assert network.training
    assert not network.backbone.norm.training


def test_new_parameters_are_those_outside_the_backbone() -> None:
    network = Closeness(Strides())
    (new,) = network.new_parameters()
    assert new is network.backbone_scale


def test_mean_and_spread_are_not_saved() -> None:
    names = set(Closeness(Strides()).state_dict())
    assert {name for name in names if not name.startswith("backbone.norm.")} == {"backbone_scale"}


def test_an_incomplete_network_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="affinity"):
        type("Incomplete", (AffinityNetwork,), {})(Strides())
