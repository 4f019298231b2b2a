"""Pixel-adaptive refinement (PAR): maps are averaged over neighbours of similar colour.

Ru et al., Learning Affinity from Attention (AFA), CVPR 2022, Sec. 3.4, and the code that its authors
published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""(row, column) steps to the eight neighbours."""

COLOUR_WIDTH = 0.3
POSITION_WEIGHT = 0.01
_TINY = 1e-8


def pixel_affinities(images: Tensor, *, dilations: Sequence[int]) -> Tensor:
    """Weight of each neighbour of each pixel; the weights of a pixel sum to 1.

    With N(i) the eight neighbours of pixel i at every dilation, σ the standard deviation of their colours
    (each channel on its own), d the distance and σ_d its standard deviation over N(i),

        affinity(i, j) ∝ softmax_j(−mean_channels((I_i − I_j) / (w1 σ))²) + w2 softmax_j(−(d_j / (w1 σ_d))²)

    and the published w1 = `COLOUR_WIDTH`, w2 = `POSITION_WEIGHT`.
    The published code omits the division by 1 + w2, so its maps grow by 1 % in each round; the order of the
    classes is the same.

    Args:
        images: (B, 3, H, W) of any scale and size; the border is replicated.
        dilations: distances of the neighbours in pixels.

    Returns:
        (B, N, H, W), N = 8 × number of dilations, in the order of the dilations, then of `DIRECTIONS`.
    """
    count = len(DIRECTIONS) * len(dilations)
    mean = torch.zeros_like(images)
    for neighbour in _neighbours(images, dilations):
        mean += neighbour / count
    variance = torch.zeros_like(images)
    for neighbour in _neighbours(images, dilations):
        variance += (neighbour - mean) ** 2 / (count - 1)
    scale = 1 / (COLOUR_WIDTH * (variance.sqrt() + _TINY))
    affinities = images.new_empty(len(images), count, *images.shape[2:])
    for affinity, neighbour in zip(affinities.unbind(1), _neighbours(images, dilations), strict=True):
        torch.mean(-(((neighbour - images) * scale) ** 2), dim=1, out=affinity)
    affinities = affinities.softmax(1)
    distances = torch.tensor(
        [d * (dy * dy + dx * dx) ** 0.5 for d in dilations for dy, dx in DIRECTIONS], dtype=torch.float64
    )
    positions = (-((distances / (COLOUR_WIDTH * (distances.std() + _TINY))) ** 2)).softmax(0)
    affinities += POSITION_WEIGHT * positions.to(affinities).view(1, -1, 1, 1)
    return affinities.div_(1 + POSITION_WEIGHT)


def pixel_adaptive_refinement(
    images: Tensor, maps: Tensor, *, iterations: int, dilations: Sequence[int]
) -> Tensor:
    """Average every map over neighbours of similar colour, `iterations` times.

    Each round is a weighted mean over the neighbours, without the pixel itself. So constants stay constant,
    values stay within their range, and channels that sum to 1 still do. Memory is that of the affinities,
    48 values per pixel at six dilations, and of the maps.

    Args:
        images: (B, 3, H, W) floats of any scale.
        maps: (B, C, H, W) of the same type and size.
        iterations: number of rounds; 10 as published.
        dilations: see `pixel_affinities`; (1, 2, 4, 8, 12, 24) as published.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: images and maps differ in number or size.
    """
    if images.shape[:1] + images.shape[2:] != maps.shape[:1] + maps.shape[2:]:
        raise ValueError(f"Expected images and maps of one size, got {images.shape} and {maps.shape}.")
    affinities = pixel_affinities(images, dilations=dilations)
    for _ in range(iterations):
        refined = torch.zeros_like(maps)
        for place, neighbour in enumerate(_neighbours(maps, dilations)):
            refined.addcmul_(affinities[:, place, None], neighbour)
        maps = refined
    return maps


def _neighbours(values: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """(B, C, H, W) views of `values` shifted to each neighbour; the border is replicated."""
    reach = max(dilations)
    height, width = values.shape[2:]
    padded = F.pad(values, [reach] * 4, mode="replicate")
    for dilation in dilations:
        for down, right in DIRECTIONS:
            top, left = reach + down * dilation, reach + right * dilation
            yield padded[:, :, top : top + height, left : left + width]
