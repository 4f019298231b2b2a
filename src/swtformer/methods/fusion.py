"""Hierarchical feature fusion (HFF): four stages into one map (Sec. 3-4, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.functional.views import resized

EPSILON = 1e-5
WIDTHS = (128, 128, 256, 256)
"""Channels that the four stages are projected to; they sum to the 768 of the fused map."""


def _halving(channels: int) -> nn.Conv2d:
    # Edges are repeated: zeros would make every border of the image look alike, and its R-CAM a frame.
    return nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False, padding_mode="replicate")


class HierarchicalFeatureFusion(nn.Module):
    """Fuse a four-stage pyramid into one map of 768 channels.

    Each stage is projected by a 1×1 convolution without bias and divided by its ℓ2 norm per pixel + 1e-5.

    - pair: low = [3×3 stride-2 convolution of stage 1, stage 2]; high = [stage 3, stage 4 bilinearly up];
      out = [3×3 stride-2 convolution of low, high] at the stride of stage 3 (16).
    - pair_coarse: the same at the stride of stage 4 (32): low goes down twice, stage 3 once.
    - single: all four bilinearly to the grid of stage 3 and one concatenation, as SIPE does.

    The paper's figure is not in its text; the text fixes four stages, concatenation in two steps, bilinear
    up-sampling and convolutional down-sampling.

    Args:
        channels: channels of the four stages.
        hff: the arrangement.
    """

    def __init__(self, channels: Sequence[int], *, hff: Literal["pair", "pair_coarse", "single"]) -> None:
        super().__init__()
        self.hff = hff
        self.projections = nn.ModuleList(
            nn.Conv2d(given, width, 1, bias=False) for given, width in zip(channels, WIDTHS, strict=True)
        )
        low = WIDTHS[0] + WIDTHS[1]
        if hff != "single":
            self.down_first = _halving(WIDTHS[0])
            self.down_low = _halving(low)
        if hff == "pair_coarse":
            self.down_low_again = _halving(low)
            self.down_third = _halving(WIDTHS[2])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Fuse four (B, Dk, hk, wk) maps into (B, 768, h, w) on stage 3's grid (pair_coarse: stage 4's)."""
        projected = [project(stage) for project, stage in zip(self.projections, pyramid, strict=True)]
        s1, s2, s3, s4 = (item / (item.norm(dim=1, keepdim=True) + EPSILON) for item in projected)
        if self.hff == "single":
            return torch.cat([resized(item, s3.shape[-2:]) for item in (s1, s2, s3, s4)], dim=1)
        low = torch.cat([resized(self.down_first(s1), s2.shape[-2:]), s2], dim=1)
        if self.hff == "pair":
            high = torch.cat([s3, resized(s4, s3.shape[-2:])], dim=1)
            return torch.cat([resized(self.down_low(low), s3.shape[-2:]), high], dim=1)
        high = torch.cat([resized(self.down_third(s3), s4.shape[-2:]), s4], dim=1)
        return torch.cat([resized(self.down_low_again(self.down_low(low)), s4.shape[-2:]), high], dim=1)

    def of_detached(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Fuse features of any floating type without steering the backbone; the result is float32."""
        dtype = next(self.parameters()).dtype
        fused: Tensor = self([stage.detach().to(dtype) for stage in pyramid])
        return fused.float()


def side_by_side(pyramid: Sequence[Tensor], *, grid: torch.Size | None = None) -> Tensor:
    """Concatenate all stages, each divided by its ℓ2 norm per place, on one grid.

    The cosine of two such vectors is the mean of the stages' cosines. Finer stages are averaged down, so that
    all their places count. (Random projections, such as those of an untrained fusion, scored a little lower.)

    Args:
        pyramid: (B, Dk, hk, wk) maps, fine to coarse.
        grid: (h, w); by default that of the last stage but one.

    Returns:
        (B, sum of Dk, h, w).
    """
    if grid is None:
        grid = pyramid[max(len(pyramid) - 2, 0)].shape[-2:]
    return torch.cat([_resized(F.normalize(stage, dim=1), grid) for stage in pyramid], dim=1)


def _resized(maps: Tensor, grid: torch.Size) -> Tensor:
    if maps.shape[-2] > grid[0] and maps.shape[-1] > grid[1]:
        return F.adaptive_avg_pool2d(maps, (grid[0], grid[1]))
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)
