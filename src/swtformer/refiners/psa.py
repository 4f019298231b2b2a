"""PSA: affinities of learned features, and a random walk along them.

Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision, CVPR 2018,
doi:10.1109/CVPR.2018.00523.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.affinity import feature_affinity
from swtformer.functional.views import resized
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.base import padded, unpadded
from swtformer.refiners.walk import WalkRefiner, enlarged
from swtformer.settings import REFINERS

WIDTHS = (64, 64, 128, 192)
"""Channels that each stage is projected to; 448 together, as in PSA's three levels of 64, 128 and 256."""


@final
class FeatureAffinityNetwork(AffinityNetwork):
    """Projects the stage maps, joins them on the grid of stage 2 (stride 8) and makes features of each pixel.

    PSA's ResNet-38 ends its stages in batch norm and ReLU; other backbones do not, so a group norm follows
    each projection. The new weights are drawn as in PSA.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.GroupNorm(4, width), nn.ELU())
            for channels, width in zip(backbone.channels, WIDTHS, strict=True)
        )
        self.mixing = nn.Conv2d(sum(WIDTHS), sum(WIDTHS), 1, bias=False)
        for layer in self.projections.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        nn.init.xavier_uniform_(self.mixing.weight, gain=4)

    def features(self, images: Tensor) -> Tensor:
        """(B, 448, h, w) features of (B, 3, H, W) images in [0, 1]."""
        pyramid = self.pyramid(images)
        grid = pyramid[1].shape[-2:]
        projected = [
            F.interpolate(
                project(stage).float(),  # CPUs have no anti-aliasing in half precision
                grid,
                mode="bilinear",
                align_corners=False,
                antialias=stage is pyramid[0],
            )
            for project, stage in zip(self.projections, pyramid, strict=True)
        ]
        # Differences of features are small relative to them, too small for half precision.
        return F.elu(self.mixing(torch.cat(projected, dim=1)).float())

    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        """exp(-L1 distance) of neighbours' features; see `AffinityNetwork.affinity`."""
        return feature_affinity(self.features(images), radius=radius)


@final
@REFINERS.register("psa")
class PSA(WalkRefiner):
    """Background and classes walk together along the affinities of learned features, at stride 8.

    The backbone is trained as well, at a tenth of the new layers' learning rate. PSA's background,
    (1 - max)^16, is that of `refine.background_power` 16.
    """

    network_type = FeatureAffinityNetwork
    beta = 8.0
    crop_px = 448
    radius = 5
    scales = (1.0, 1.0)

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        affinity = self.network.affinity(enlarged(images), radius=self.options.walk_radius)
        start = padded([resized(own[None], affinity.shape[-2:], antialias=True)[0] for own in maps])
        return unpadded(self.walked(start, affinity), maps)
