"""From maps at stride resolution to label images at full size (METHOD 5, policies)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Foreground:
    """The best foreground class of each pixel.

    Attributes:
        scores: (H, W) float32 map value of that class; 0 where the image has no class.
        values: (H, W) uint8 label (class index + 1) of that class; 0 where the image has no class.
    """

    scores: Tensor
    values: Tensor


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear up-sampling with half-pixel centres (align_corners=False).

    Args:
        maps: (K, h, w) of any floating type.
        size: (H, W) of the result.

    Returns:
        (K, H, W) float32.
    """
    if not len(maps):
        return torch.zeros(0, *size)
    return F.interpolate(maps.float()[None], size, mode="bilinear", align_corners=False)[0]


def best_foreground(maps: Tensor, values: Tensor, size: tuple[int, int]) -> Foreground:
    """Up-sample the maps of the present classes and take the best class of each pixel.

    Args:
        maps: (K, h, w) foreground maps in [0, 1]; K may be 0.
        values: (K,) labels of the maps, class index + 1.
        size: (H, W) of the image.
    """
    if not len(maps):
        return Foreground(torch.zeros(size), torch.zeros(size, dtype=torch.uint8))
    scores, channels = upsample(maps, size).max(0)
    labels = values.to(torch.uint8).index_select(0, channels.flatten()).view(size)
    return Foreground(scores, labels)


def labels_at(foreground: Foreground, threshold: float) -> Tensor:
    """Label image where the background has the score `threshold` everywhere.

    The best foreground class wins where its score is *above* the threshold. A tie goes to the background, as
    in an argmax over channels with the background first; so does a map value of 0 at threshold 0.

    Returns:
        (H, W) uint8.
    """
    return foreground.values * (foreground.scores > threshold)


def labels_against(foreground: Foreground, background: Tensor) -> Tensor:
    """Label image where a background map competes; a tie goes to the background.

    Args:
        foreground: the best foreground class.
        background: (h, w) or (H, W) background map in [0, 1], up-sampled here.

    Returns:
        (H, W) uint8.
    """
    height, width = foreground.scores.shape
    return foreground.values * (foreground.scores > upsample(background[None], (height, width))[0])
