"""IRN: boundaries between objects are learned from pairs of pixels, and stop a random walk.

Ahn, Cho and Kwak, Weakly Supervised Learning of Instance Segmentation with Inter-pixel Relations, CVPR 2019,
doi:10.1109/CVPR.2019.00231. Its displacement branch separates instances. Semantic labels need only the
boundary branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.affinity import boundary_affinity
from swtformer.functional.random_walk import TOLERANCE
from swtformer.functional.views import resized
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.base import padded, unpadded
from swtformer.refiners.walk import WalkRefiner, enlarged
from swtformer.refiners.walk_settings import WalkSettings
from swtformer.settings import AFTER_FIT, REFINERS
from swtformer.settings.numbers import Fraction

WIDTH = 32
"""Channels that each stage is projected to."""


@final
class BoundaryNetwork(AffinityNetwork):
    """Projects the stage maps, joins them on the grid of stage 1 (stride 4) and makes a boundary map.

    The backbone is not trained, and its stochastic depth is off. As in IRN's code, maps are enlarged before
    their ReLU. IRN joins five levels of a ResNet; a pyramid has four.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        backbone.requires_grad_(False)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, WIDTH, 1, bias=False), nn.GroupNorm(4, WIDTH))
            for channels in backbone.channels
        )
        self.boundary = nn.Conv2d(len(backbone.channels) * WIDTH, 1, 1)

    def train(self, mode: bool = True) -> BoundaryNetwork:
        """Set the mode of the new layers; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def boundaries(self, images: Tensor) -> Tensor:
        """(B, h, w) boundaries in [0, 1] of (B, 3, H, W) images in [0, 1]."""
        return self.logits(images).sigmoid()

    def logits(self, images: Tensor) -> Tensor:
        """(B, h, w) logits of `boundaries`."""
        with torch.no_grad():
            pyramid = self.pyramid(images)
        grid = pyramid[0].shape[-2:]
        projected = [
            F.relu(F.interpolate(project(stage), grid, mode="bilinear", align_corners=False))
            for project, stage in zip(self.projections, pyramid, strict=True)
        ]
        logits: Tensor = self.boundary(torch.cat(projected, dim=1))
        return logits[:, 0].float()

    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        """1 - the largest boundary between neighbours; see `AffinityNetwork.affinity`."""
        return boundary_affinity(self.boundaries(images), radius=radius)


class IrnSettings(WalkSettings):
    """Options of IRN."""

    background: Annotated[Fraction | None, AFTER_FIT] = None
    """Constant background score beside the walked maps, 0.25 as published; by default the background map
    walks as the classes do."""


@final
@REFINERS.register("irn")
class IRN(WalkRefiner):
    """Maps walk at stride 4 until boundaries stop them; on the boundaries themselves they start from 0.

    Boundaries come from the mean logits of the image and its mirror image. As published, only the classes
    walk; they are divided by their common maximum, and the background is a constant 0.25 (`background`). By
    default the background walks too, which needs no threshold chosen with ground truth. All maps are then
    divided, pixel by pixel, by a walk that starts from 1 - boundary. So a map of 1 everywhere stays 1, and
    the order and the shares of the maps at a pixel stay the same.
    """

    settings_type = IrnSettings
    options: IrnSettings
    network_type = BoundaryNetwork
    network: BoundaryNetwork
    beta = 10.0
    crop_px = 512
    radius = 10
    scales = (0.5, 1.5)

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        images = enlarged(images)
        straight, mirrored = self.network.logits(torch.cat([images, images.flip(-1)])).chunk(2)
        boundaries = ((straight + mirrored.flip(-1)) / 2).sigmoid()
        affinity = boundary_affinity(boundaries, radius=self.options.walk_radius)
        passable = 1 - boundaries[:, None]
        start = (
            padded([resized(own[None], boundaries.shape[1:], antialias=True)[0] for own in maps]) * passable
        )
        background = self.options.background
        if background is None:
            walked = self.walked(torch.cat([passable, start], dim=1), affinity)
            # Where hardly any walker arrives, the ratio would amplify rounding errors.
            return unpadded(walked[:, 1:] / walked[:, :1].clamp_min(TOLERANCE), maps)
        constant = torch.full_like(passable, background)
        if start.shape[1] == 1:
            return list(constant)
        walked = self.walked(start[:, 1:], affinity)
        highest = walked.amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(walked.dtype).tiny)
        return unpadded(torch.cat([constant, walked / highest], dim=1), maps)
