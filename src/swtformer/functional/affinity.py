"""Affinities between neighbouring pixels, and how to learn them from partly unsure labels (METHOD 7).

A pair is a pixel and its partner at one of the P offsets of `half_disc`. The other half of the disc holds the
same pairs in reverse, so P affinities per pixel describe all its 2P neighbours, and memory grows linearly
with the pixels. In a tensor (…, P, h, w), pair p of pixel (y, x) is at […, p, y, x]; it is 0 where the
partner lies outside the map.

Sources: PSA, Ahn and Kwak 2018, doi:10.1109/CVPR.2018.00523; IRN, Ahn, Cho and Kwak 2019,
doi:10.1109/CVPR.2019.00231. Departure: PSA's code drops pairs whose first pixel lies within the radius of the
left, right or lower border; here every pair inside the map counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
"""Added to arguments of logarithms and to counts of pairs."""

IGNORED = 255
"""Label of pixels that no class is sure of."""

Offset = tuple[int, int]
"""Rows and columns from a pixel to another."""


def half_disc(radius: int) -> tuple[Offset, ...]:
    """Offsets (dy, dx) to half of the neighbours closer than `radius`, row by row.

    dy is at least 0, and dx is positive where dy is 0. There are 34 for radius 5 and 152 for radius 10.

    Raises:
        ValueError: the radius is below 2, so that there are no neighbours.
    """
    if radius < 2:
        raise ValueError(f"Expected a radius of at least 2, got {radius}.")
    return tuple(
        (dy, dx)
        for dy in range(radius)
        for dx in range(1 - radius, radius)
        if (dy > 0 or dx > 0) and dy * dy + dx * dx < radius * radius
    )


def pixels_between(offset: Offset) -> tuple[Offset, ...]:
    """Pixels from (0, 0) to `offset`, both included: those closer than 1 to the line (IRN)."""
    dy, dx = offset
    return tuple(
        (y, x)
        for y in range(min(dy, 0), max(dy, 0) + 1)
        for x in range(min(dx, 0), max(dx, 0) + 1)
        if (dy * x - dx * y) ** 2 < dy * dy + dx * dx
    )


def feature_affinity(features: Tensor, *, radius: int) -> Tensor:
    """exp(-mean over channels of |f_i - f_j|), PSA's affinity of pixels i and j.

    The backward pass recomputes the differences, so memory does not grow with channels times pairs.

    Args:
        features: (B, D, h, w).
        radius: neighbours closer than this are paired.

    Returns:
        (B, P, h, w) in [0, 1].
    """
    result: Tensor = _FeatureAffinity.apply(features, radius)
    return result


class _FeatureAffinity(torch.autograd.Function):
    """`feature_affinity` with one gradient tensor, where autograd would make one per pair."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, radius: int) -> Tensor:
        def affinity(offset: Offset) -> Tensor:
            differences = _at(features, offset, (0, 0)) - _at(features, offset, offset)
            return torch.exp(-differences.abs_().mean(1))

        made = _for_each_pair(affinity, features.shape[-2:], radius)
        ctx.radius = radius
        ctx.save_for_backward(features, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features, affinity = ctx.saved_tensors
        by_distance = gradient * affinity / -features.shape[1]
        made = torch.zeros_like(features)
        for offset, own in zip(half_disc(ctx.radius), by_distance.unbind(1), strict=True):
            share = (_at(features, offset, (0, 0)) - _at(features, offset, offset)).sign_()
            share *= _at(own, offset, (0, 0))[:, None]
            _at(made, offset, (0, 0)).add_(share)
            _at(made, offset, offset).sub_(share)
        return made, None


def boundary_affinity(boundaries: Tensor, *, radius: int) -> Tensor:
    """1 - the largest boundary value on the path between two pixels, IRN's affinity.

    Args:
        boundaries: (B, h, w) in [0, 1], 1 on boundaries between objects.
        radius: neighbours closer than this are paired.

    Returns:
        (B, P, h, w) in [0, 1].
    """

    def affinity(offset: Offset) -> Tensor:
        path = torch.stack([_at(boundaries, offset, step) for step in pixels_between(offset)])
        return 1 - path.max(0).values  # keeps one index for the backward pass, where amax keeps the input

    return _for_each_pair(affinity, boundaries.shape[-2:], radius)


@dataclass(frozen=True)
class LabelPairs:
    """Kinds of pairs; pairs with an unsure pixel are in none of the three.

    Attributes:
        background: (B, P, h, w) bool, both pixels are background.
        foreground: same shape, both pixels show the same class.
        different: same shape, they show different classes, or one is background.
    """

    background: Tensor
    foreground: Tensor
    different: Tensor


def label_pairs(labels: Tensor, *, radius: int) -> LabelPairs:
    """Classify all pairs of neighbours by their labels.

    Args:
        labels: (B, h, w) integers; 0 background, 255 unsure, all others classes.
        radius: neighbours closer than this are paired.
    """

    def codes(offset: Offset) -> Tensor:
        pixels, partners = _at(labels, offset, (0, 0)), _at(labels, offset, offset)
        code = torch.where(pixels == partners, torch.where(pixels == 0, 1, 2), 3)
        return (code * ((pixels != IGNORED) & (partners != IGNORED))).to(torch.uint8)

    kind = _for_each_pair(codes, labels.shape[-2:], radius)
    return LabelPairs(background=kind == 1, foreground=kind == 2, different=kind == 3)


def affinity_loss(affinity: Tensor, pairs: LabelPairs) -> Tensor:
    """Cross-entropy of affinities, with equal weight for equal and different pairs.

    ¼ mean over background pairs of -log(a + ε) + ¼ mean over foreground pairs of -log(a + ε)
    + ½ mean over different pairs of -log(1 + ε - a), with ε = 1e-5; a mean over no pairs is 0. This is the
    loss of PSA and of IRN's boundary branch.

    Args:
        affinity: (B, P, h, w) in [0, 1].
        pairs: of the same shape.

    Returns:
        Scalar float32, at least -1e-5.
    """
    affinity = affinity.float()
    together, apart = -torch.log(affinity + EPSILON), -torch.log(1 + EPSILON - affinity)
    return (
        _mean_where(together, pairs.background) / 4
        + _mean_where(together, pairs.foreground) / 4
        + _mean_where(apart, pairs.different) / 2
    )


def surest_labels(maps: Tensor, values: Tensor, *, part: float) -> Tensor:
    """Labels of the surest pixels of each class.

    The label of a pixel is that of its largest map. It is the surer, the smaller the ratio of the second
    largest map to the largest. The surest `part` of each class's pixels is kept, ties included; background
    counts as a class. Pixels where all maps are 0 have no label.

    PSA and IRN choose pixels by two thresholds on the CAM. A part does not depend on the scale of the maps,
    which differs between CAMs and R-CAMs.

    Args:
        maps: (K+1, h, w), not negative, background first; K may be 0.
        values: (K,) labels of the channels after the background.
        part: part of each class's pixels to keep, in (0, 1].

    Returns:
        (h, w) uint8: 0, a label, or 255 where unsure; 0 everywhere if K is 0.
    """
    if len(maps) == 1:
        return torch.zeros(maps.shape[-2:], dtype=torch.uint8, device=maps.device)
    (best, second), (channels, _) = maps.topk(2, dim=0)
    doubt = second / best.clamp_min(EPSILON)
    labels = torch.full_like(channels, IGNORED, dtype=torch.uint8)
    for channel, value in enumerate((0, *values.tolist())):
        own = (channels == channel) & (best > 0)
        count = int(own.sum())
        if count:
            limit = doubt[own].kthvalue(math.ceil(part * count)).values
            labels[own & (doubt <= limit)] = value
    return labels


def _at(maps: Tensor, offset: Offset, step: Offset) -> Tensor:
    """View of the map shifted by `step`, on the pixels whose partner at `offset` lies inside."""
    height, width = maps.shape[-2:]
    rows, columns = max(height - offset[0], 0), max(width - abs(offset[1]), 0)
    top, left = step[0], max(-offset[1], 0) + step[1]
    return maps[..., top : top + rows, left : left + columns]


def _for_each_pair(make: Callable[[Offset], Tensor], size: torch.Size, radius: int) -> Tensor:
    """Stack what `make` returns for each offset, padded to the whole map with 0."""
    height, width = size
    made = []
    for offset in half_disc(radius):
        inside = make(offset)
        rows, columns = inside.shape[-2:]
        left = min(max(-offset[1], 0), width)
        made.append(F.pad(inside, (left, width - columns - left, 0, height - rows)))
    return torch.stack(made, dim=-3)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / (chosen.sum() + EPSILON)
