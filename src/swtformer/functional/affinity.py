"""Affinities between neighbouring pixels, and what labels with unsure pixels say about them (METHOD 7).

A pair is a pixel and its partner at one of the offsets of `half_disc`; the other half of the disc holds the
same pairs in reverse. So P affinities per pixel cover all 2P neighbours, at any map size, and memory grows
with the pixels and not with their square. Every tensor (…, P, h, w) here holds pair p of pixel (y, x) at
[…, p, y, x]; pairs that leave the map hold 0.

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

from swtformer.label_values import IGNORED

EPSILON = 1e-5
"""Added inside logarithms and to counts of pairs."""

Offset = tuple[int, int]
"""Rows and columns from a pixel to another."""


def half_disc(radius: int) -> tuple[Offset, ...]:
    """Offsets (dy, dx) to half of the neighbours closer than `radius`, row by row.

    dy is at least 0, and dx above 0 where dy is 0. There are 34 of them for radius 5 and 152 for radius 10.

    Raises:
        ValueError: the radius is below 2, so there is no neighbour.
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
    """Pixels between (0, 0) and `offset`, both ends included: those closer than 1 to the line (IRN)."""
    dy, dx = offset
    return tuple(
        (y, x)
        for y in range(min(dy, 0), max(dy, 0) + 1)
        for x in range(min(dx, 0), max(dx, 0) + 1)
        if (dy * x - dx * y) ** 2 < dy * dy + dx * dx
    )


def feature_affinity(features: Tensor, *, radius: int) -> Tensor:
    """exp(-mean over channels of |f_i - f_j|), PSA's affinity of pixels i and j.

    The backward pass computes the differences again, so that memory does not grow with channels times pairs.

    Args:
        features: (B, D, h, w).
        radius: neighbours closer than this are paired.

    Returns:
        (B, P, h, w) in [0, 1].
    """
    made: Tensor = _FeatureAffinity.apply(features, radius)
    return made


class _FeatureAffinity(torch.autograd.Function):
    """`feature_affinity`; its gradient accumulates in one tensor, where autograd would make one per pair."""

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
        return 1 - path.max(0).values  # unlike amax, keeps only indices for the backward pass

    return _for_each_pair(affinity, boundaries.shape[-2:], radius)


@dataclass(frozen=True)
class LabelPairs:
    """What the labels say about each pair; a pair with an unsure pixel is in none of the three.

    Attributes:
        background: (B, P, h, w) bool, both pixels are background.
        foreground: both show the same class.
        different: they show different classes, or one is background.
    """

    background: Tensor
    foreground: Tensor
    different: Tensor


def label_pairs(labels: Tensor, *, radius: int) -> LabelPairs:
    """Sort all pairs of neighbours by their labels.

    Args:
        labels: (B, h, w) integers; 0 background, 255 unsure, others classes.
        radius: neighbours closer than this are paired.
    """

    def codes(offset: Offset) -> Tensor:
        pixels, partners = _at(labels, offset, (0, 0)), _at(labels, offset, offset)
        code = torch.where(pixels == partners, torch.where(pixels == 0, 1, 2), 3)
        return (code * ((pixels != IGNORED) & (partners != IGNORED))).to(torch.uint8)

    kind = _for_each_pair(codes, labels.shape[-2:], radius)
    return LabelPairs(background=kind == 1, foreground=kind == 2, different=kind == 3)


def affinity_loss(affinity: Tensor, pairs: LabelPairs) -> Tensor:
    """Cross-entropy of affinities, with equal weight for pairs that belong together and pairs that do not.

    ¼ mean over background pairs of -log(a + ε) + ¼ mean over foreground pairs of -log(a + ε)
    + ½ mean over different pairs of -log(1 + ε - a), with ε = 1e-5; a mean over no pairs is 0. This is the
    loss of PSA and, for the boundary branch, of IRN.

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
    """Labels of the pixels that the maps are surest of.

    A pixel gets the label of its largest map. The smaller the ratio of the second largest to the largest map,
    the surer the label. Of each class's pixels, background included, `part` keep their label; so do pixels
    that are as sure as the last of them. Pixels where all maps are 0 have no label.

    PSA and IRN choose by two thresholds on the CAM. A part does not depend on the scale of the maps: the
    background of CAMs falls steeply, while R-CAMs are cosines and close to one another.

    Args:
        maps: (K+1, h, w), not below 0, background first; K may be 0.
        values: (K,) labels of the channels after the background.
        part: of each class's pixels, in (0, 1].

    Returns:
        (h, w) uint8: 0, a label, or 255 where unsure; all background where there is no class.
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
    """View of the pixels at `step` from every pixel whose partner at `offset` is inside the map."""
    height, width = maps.shape[-2:]
    rows, columns = max(height - offset[0], 0), max(width - abs(offset[1]), 0)
    top, left = step[0], max(-offset[1], 0) + step[1]
    return maps[..., top : top + rows, left : left + columns]


def _for_each_pair(make: Callable[[Offset], Tensor], size: torch.Size, radius: int) -> Tensor:
    """Stack what `make` gives for each offset, on the whole map; 0 for pairs that leave it."""
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
