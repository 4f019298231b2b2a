"""k-means: Lloyd's rounds from centres that k-means++ spreads (doi:10.1109/TIT.1982.1056489)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STARTS = 10
"""Draws of the first centres, of which the best one counts."""

ROUNDS = 300
"""Rounds of Lloyd's algorithm at most."""


@dataclass(frozen=True)
class Clusters:
    """Points divided among centres.

    Attributes:
        nearest: (N,) index of each point's centre.
        centres: (K, D) means of their points; a centre without points is where it started.
        spread: sum over the points of the squared distance to their centre.
    """

    nearest: Tensor
    centres: Tensor
    spread: float


def k_means(points: Tensor, count: int, *, starts: int = STARTS) -> Clusters:
    """Cluster points; of several starts, the one with the smallest spread counts.

    First centres are drawn from torch's default generator of the CPU.

    Args:
        points: (N, D), N at least 1, on the CPU.
        count: clusters; as many as there are points, if these are fewer.
        starts: how often the first centres are drawn.
    """
    count = min(count, len(points))
    return min(
        (lloyd(points, spread_out(points, count)) for _ in range(starts)), key=lambda made: made.spread
    )


def spread_out(points: Tensor, count: int) -> Tensor:
    """(count, D) first centres by k-means++ (Arthur and Vassilvitskii, SODA 2007).

    Each further centre is a drawn point, with a probability proportional to its squared distance to the
    nearest centre so far. Where all of these are 0, one point is as good as another.

    Args:
        points: (N, D), N at least 1.
        count: at most N.
    """
    chosen = [int(torch.randint(len(points), ()))]
    gaps = torch.full((len(points),), torch.inf, dtype=points.dtype)
    while len(chosen) < count:
        gaps = torch.minimum(gaps, (points - points[chosen[-1]]).square().sum(1))
        chosen.append(int(torch.multinomial(gaps if gaps.any() else torch.ones_like(gaps), 1)))
    return points[chosen]


def lloyd(points: Tensor, centres: Tensor, *, rounds: int = ROUNDS) -> Clusters:
    """Move centres to the means of their points until no point changes its centre.

    Args:
        points: (N, D).
        centres: (K, D) to start from. One that no point is nearest to stays where it is.
        rounds: of moving, at most.
    """
    nearest = torch.cdist(points, centres).argmin(1)
    for _ in range(rounds):
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        before, nearest = nearest, torch.cdist(points, centres).argmin(1)
        if nearest.equal(before):
            break
    return Clusters(nearest, centres, float((points - centres[nearest]).square().sum()))
