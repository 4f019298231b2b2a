"""Images at several scales, and mirrored (METHOD 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Aligned = Literal["corners", "cells"]
"""What of two grids lies on one another: the centres of their corner places, or the edges of the image."""

Flip = bool | Literal["in_turn"]
"""Whether each scale's mirror image is seen as well; in_turn is one view of each scale, every second one
mirrored."""

SMALLEST_SIDE_PX = 32
"""The smallest image that backbones take; smaller views are enlarged to it."""


def views(images: Tensor, *, scales: Sequence[float], flip: Flip) -> list[tuple[bool, Tensor]]:
    """All views of `views_by_scale` in one list."""
    return list(chain.from_iterable(views_by_scale(images, scales=scales, flip=flip)))


def views_by_scale(images: Tensor, *, scales: Sequence[float], flip: Flip) -> list[list[tuple[bool, Tensor]]]:
    """The images at every scale, mirrored as `flip` says.

    Args:
        images: (B, 3, H, W) uint8 RGB.
        scales: factors on the size; no side becomes shorter than `SMALLEST_SIDE_PX`.
        flip: whether to add each scale's mirror image. in_turn takes the first scale as it is, the second
            one mirrored, and so on.

    Returns:
        (mirrored, (B, 3, h, w) floats in [0, 1]) for each view of each scale, a mirror image after its view.
    """
    height, width = images.shape[-2:]
    made = []
    for place, scale in enumerate(scales):
        factor = max(scale, SMALLEST_SIDE_PX / min(height, width))
        size = (round(height * factor), round(width * factor))
        view = images.float() / 255
        if size != (height, width):
            view = F.interpolate(view, size, mode="bilinear", align_corners=False, antialias=True)
        kinds = [False, True] if flip else [False]
        if flip == "in_turn":
            kinds = [place % 2 == 1]
        made.append([(mirrored, view.flip(-1) if mirrored else view) for mirrored in kinds])
    return made


def resized(maps: Tensor, size: Sequence[int], *, antialias: bool = False) -> Tensor:
    """(B, K, h, w) maps or images on another grid, bilinear; those that have the size already as they are.

    Args:
        maps: of any floating type.
        size: height and width.
        antialias: average what lies between the pixels of a coarser grid.
    """
    size = tuple(size)
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=antialias)


def on_grid(maps: Tensor, is_mirrored: bool, grid: tuple[int, int]) -> Tensor:
    """Maps of a view, (B, K, h, w), as they lie in the image: mirrored back, and resized to the grid."""
    if is_mirrored:
        maps = maps.flip(-1)
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)


def resized_on(maps: Tensor, size: Sequence[int], *, aligned: Aligned) -> Tensor:
    """(B, K, h, w) maps or images on another grid, bilinear, for networks that align grids by corners."""
    return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=aligned == "corners")
