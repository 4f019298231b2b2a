"""SEAM's losses: maps of an image and of the smaller image agree, and refined maps with the other's maps.

Wang, Zhang, Kan, Shan and Chen, CVPR 2020, doi:10.1109/CVPR42600.2020.01229, Eq. 4 and 10, and its public
code. In all of them, padded pixels of the crop do not count (`valid`), while that code knows no such pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from swtformer.functional.losses import require_same_shape
from swtformer.functional.pixel_correlation import EPSILON, only_strongest


def scaled_to_range(maps: Tensor) -> Tensor:
    """Positive part of each map, scaled to [0, 1) by its minimum m and maximum M over space (SEAM's code).

    max(0, x - m - ε) / (M - m + ε) with ε = 1e-5, so that what is within ε of the minimum is 0.

    Args:
        maps: (B, K, h, w), any sign.

    Returns:
        (B, K, h, w); 0 for a map that is the same everywhere.
    """
    positive = maps.relu()
    least, most = positive.amin((-2, -1), keepdim=True), positive.amax((-2, -1), keepdim=True)
    return (positive - least - EPSILON).relu() / (most - least + EPSILON)


def equivariance_loss(first: Tensor, second: Tensor, *, valid: Tensor | None = None) -> Tensor:
    """Mean absolute gap between the foreground maps of an image and of the smaller image (ER, Eq. 4).

    Args:
        first: (B, C, h, w) maps of the image in [0, 1], resized as the image was; absent classes 0.
        second: (B, C, h, w) maps of the smaller image, likewise.
        valid: (B, 1, h, w) 0/1, 0 on padded pixels; None if all count.

    Returns:
        Scalar: mean over all C classes, all pixels and all images; 0 where the maps agree.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(first, second)
    gap = (first - second).abs()
    if valid is None:
        return gap.mean()
    return (gap * valid).sum() / (valid.sum() * gap.shape[1]).clamp_min(1)


def cross_loss(maps: Tensor, refined: Tensor, *, hardest: float, valid: Tensor | None = None) -> Tensor:
    """Mean gap between refined maps of one image and the other's maps, where it is largest (ECR, Eq. 10).

    At each pixel only the strongest class of the other's maps counts, and they have no gradient; the paper
    mentions neither. Of each image's (C+1)·h·w gaps, the largest are averaged: that part is of the code, the
    paper calls it online hard example mining.

    Args:
        maps: (B, C+1, h, w) in [0, 1], background first; absent classes 0.
        refined: (B, C+1, h, w) likewise, of the image at the other scale.
        hardest: part of the gaps that counts, in (0, 1].
        valid: (B, 1, h, w) 0/1, 0 on padded pixels; None if all count.

    Returns:
        Scalar: mean over the images.

    Raises:
        ValueError: the shapes differ.
    """
    require_same_shape(maps, refined)
    gaps = (only_strongest(maps.detach()) - refined).abs()
    return _mean_of_largest(gaps, hardest, valid).mean()


def min_pooling_loss(refined: Tensor, *, smallest: float, valid: Tensor | None = None) -> Tensor:
    """Mean of the strongest refined map over the pixels of an image where it is smallest.

    So that refined maps leave some of every image to the background. It is in SEAM's code alone, whose
    comment says that it moves the best background score and not the best figure.

    Args:
        refined: (B, C, h, w) refined maps of the classes as they come, absent classes 0; the positive part
            counts.
        smallest: part of the pixels that counts, in (0, 1].
        valid: (B, 1, h, w) 0/1, 0 on padded pixels; None if all count.

    Returns:
        Scalar: mean over the images.
    """
    strongest = refined.amax(1, keepdim=True)
    return -_mean_of_largest(-strongest.relu(), smallest, valid).mean()


def _mean_of_largest(values: Tensor, part: float, valid: Tensor | None) -> Tensor:
    """(B,) means of the largest part, rounded down, of each image's valid (B, K, h, w) values."""
    flat = values.flatten(1)
    if valid is None:
        count = max(int(flat.shape[1] * part), 1)
        return flat.topk(count, dim=1, sorted=False).values.mean(1)
    counts = (valid.flatten(1).sum(1).double() * values.shape[1] * part).long()
    flat = flat.masked_fill(valid.expand_as(values).flatten(1) == 0, -torch.inf)
    largest = flat.topk(max(int(counts.max()), 1), dim=1).values
    chosen = torch.arange(largest.shape[1], device=flat.device) < counts.clamp_min(1)[:, None]
    # An image without any valid pixel has no largest value.
    chosen = chosen & largest.isfinite()
    return torch.where(chosen, largest, 0).sum(1) / chosen.sum(1).clamp_min(1)
