"""Class scores and class activation maps from the output of a CAM head (Sec. 3-2, 3-3, Eq. 1 and 3)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5
"""Added to the maximum by which a map is divided."""

RANK_DECAY = 0.996
"""Weight ratio between neighbouring ranks in globally weighted rank pooling (Kolesnikov, Lampert, 2016)."""


def class_logits(activations: Tensor, *, pooling: Literal["gap", "gmp", "gwrp"]) -> Tensor:
    """Class logits as a spatial mean, maximum or rank-weighted mean of the raw head output (Sec. 3-3).

    Args:
        activations: (B, C, h, w) raw output of the CAM head, any sign.
        pooling: gap takes the mean, gmp the maximum; gwrp sorts each class in descending order and weights
            rank i by 0.996^i, normalised to sum 1.

    Returns:
        (B, C) logits.
    """
    flat = activations.flatten(2)
    if pooling == "gap":
        return flat.mean(-1)
    if pooling == "gmp":
        return flat.amax(-1)
    ranks = torch.arange(flat.shape[-1], device=flat.device, dtype=torch.float32)
    weights = RANK_DECAY**ranks
    falling = flat.float().sort(-1, descending=True).values
    return (falling @ (weights / weights.sum())).to(flat.dtype)


def normalised(maps: Tensor, *, norm: Literal["max", "minmax"]) -> Tensor:
    """Positive part of each map, scaled to [0, 1) over space (Eq. 1).

    Args:
        maps: (B, C, h, w) raw maps, any sign.
        norm: max divides the positive part by its maximum + 1e-5; minmax subtracts its minimum first.

    Returns:
        (B, C, h, w) in [0, 1); 0 for a map without positive values.
    """
    positive = maps.relu()
    if norm == "minmax":
        positive = positive - positive.amin((-2, -1), keepdim=True)
    return scaled_to_maximum(positive)


def scaled_to_maximum(maps: Tensor) -> Tensor:
    """Each map divided by its own maximum over space + 1e-5, in [0, 1); all-zero maps stay 0."""
    return maps / (maps.amax((-2, -1), keepdim=True) + EPSILON)


def background_map(maps: Tensor, present: Tensor, *, over: Literal["present", "all"]) -> Tensor:
    """Background activation, 1 minus the largest foreground activation (Eq. 3).

    Args:
        maps: (B, C, h, w) normalised foreground maps in [0, 1], absent classes not yet set to 0.
        present: (B, C) 0/1 image-level labels.
        over: classes whose maximum is taken. With all of them, an untrained head leaves no background.

    Returns:
        (B, 1, h, w) in [0, 1]; over present classes, 1 everywhere in an image without any.
    """
    if over == "present":
        maps = maps * present[:, :, None, None].to(maps.dtype)
    return 1 - maps.amax(1, keepdim=True)


def with_background(maps: Tensor, present: Tensor, *, over: Literal["present", "all"]) -> Tensor:
    """Foreground maps of the present classes, preceded by the background map.

    Args:
        maps: (B, C, h, w) normalised foreground maps in [0, 1].
        present: (B, C) 0/1 image-level labels.
        over: as in `background_map`.

    Returns:
        (B, C+1, h, w) in [0, 1]; index 0 is background, absent classes are 0.
    """
    background = background_map(maps, present, over=over)
    return torch.cat([background, maps * present[:, :, None, None].to(maps.dtype)], dim=1)


def with_background_present(present: Tensor) -> Tensor:
    """(B, C) image-level labels as (B, C+1), preceded by the background, which is always present."""
    return torch.cat([present.new_ones(present.shape[0], 1), present], dim=1)


def likely_classes(probabilities: Tensor, *, threshold: float) -> Tensor:
    """Labels from a classifier: every class of at least a probability, and the most probable one in any case.

    Args:
        probabilities: (B, C).
        threshold: smallest probability of a present class.

    Returns:
        (B, C) 0/1 in the dtype of the probabilities.
    """
    best = F.one_hot(probabilities.argmax(1), probabilities.shape[1]).bool()
    return ((probabilities >= threshold) | best).to(probabilities.dtype)
