"""Gaussian filtering in many dimensions on the permutohedral lattice.

Adams, Baek and Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, Eurographics 2010.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TOO_SMALL = "The standard deviations are too small for this many dimensions and this range."
_LARGEST = 2**20


class PermutohedralLattice:
    """Σ_j exp(−|f_i − f_j|² / 2) v_j for N points in d dimensions, up to a factor, at a cost linear in N.

    Each point lies in a simplex of the lattice A*_d and distributes its value over the d + 1 corners
    ("splat"). The corners are blurred with [½, 1, ½] along each of the d + 1 axes, and each point gathers
    them ("slice"). Only corners next to a point are stored. The result is that of `pydensecrf`, on any
    device, and deterministic: sums run over sorted neighbours, without atomic additions.

    Args:
        features: (…, N, d) floats on any device, N at least 1, divided by the standard deviations. Leading
            dimensions are separate sets of points, such as images.

    Raises:
        ValueError: the features spread over more standard deviations than 64-bit keys can count (fewer if
            there are many sets), or one is 2**20 or more, where float32 cannot resolve lattice points.
    """

    def __init__(self, features: Tensor) -> None:
        sets = features.shape[:-2].numel()
        features = features.flatten(0, -2)
        if not features.abs().amax() < _LARGEST:  # nan included
            raise ValueError(_TOO_SMALL)
        points, dimensions = features.shape
        corners = dimensions + 1
        rounded, rank, weights = _simplices(features)
        keys, step = _corner_keys(rounded, rank, sets=sets)
        order = keys.view(-1).argsort(stable=True)
        keys = keys.view(-1)[order]
        first = torch.cat([keys.new_ones(1, dtype=torch.bool), keys[1:] != keys[:-1]])
        vertices = torch.empty_like(order)
        vertices[order] = first.cumsum(0) - 1
        # int32 halves the memory and is enough for embedding_bag.
        self._corners = vertices.view(points, corners).int()
        self._weights = weights
        self._splat_points = (order // corners).int()
        self._splat_weights = weights.view(-1)[order]
        self._splat_starts = first.nonzero()[:, 0].int()
        self._neighbours = _blur_neighbours(keys[first], step)

    def normalise(self) -> None:
        """Divide the kernel on both sides by the roots of its row sums, as `pydensecrf` does by default."""
        sums = self.filter(self._weights.new_ones(len(self._weights), 1))
        roots = sums.clamp(min=1e-20).rsqrt()
        self._weights *= roots
        self._splat_weights *= roots[:, 0][self._splat_points]

    def filter(self, values: Tensor) -> Tensor:
        """Filter values of the points.

        Args:
            values: (…, N, C), of the features' dtype and device.

        Returns:
            (…, N, C).
        """
        shape = values.shape
        # embedding_bag multiplies a sparse matrix by a dense one.
        vertices = F.embedding_bag(
            self._splat_points,
            values.flatten(0, -2),
            self._splat_starts,
            mode="sum",
            per_sample_weights=self._splat_weights,
        )
        vertices = torch.cat(
            [vertices, vertices.new_zeros(1, vertices.shape[1])]
        )  # the last one is for missing neighbours
        for below, above in self._neighbours:
            around = vertices[below].add_(vertices[above])
            vertices[:-1].add_(around, alpha=0.5)
        gathered = F.embedding_bag(self._corners, vertices, mode="sum", per_sample_weights=self._weights)
        return gathered.view(shape)


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The simplex around each point.

    Returns:
        Its remainder-0 corner (N, d+1) int64; the rank (N, d+1) int64 of each coordinate's distance from it,
        0 for the largest; the weights (N, d+1) of the corners by remainder, which sum to 1.
    """
    dimensions = features.shape[1]
    corners = dimensions + 1
    # Onto the plane Σx = 0, scaled such that the blur has a standard deviation of 1 in the features.
    places = torch.arange(1, corners, device=features.device, dtype=features.dtype)
    scaled = features * (corners * (2 / 3) ** 0.5 / (places * (places + 1)).sqrt())
    tail = scaled.flip(1).cumsum(1).flip(1)
    elevated = F.pad(tail, (0, 1)) - F.pad(places * scaled, (1, 0))
    # The nearest point whose coordinates are multiples of d + 1; their sum may be off by a few multiples.
    steps = (elevated / corners).round().long()
    distance = elevated - steps * corners
    rank = torch.zeros_like(steps)
    for i in range(corners):
        for j in range(i + 1, corners):
            is_behind = distance[:, i] < distance[:, j]
            rank[:, i] += is_behind
            rank[:, j] += ~is_behind
    rank += steps.sum(1, keepdim=True)
    shift = (rank < 0).long() - (rank > dimensions).long()
    rank += shift * corners
    steps += shift
    # Barycentric coordinates: differences of the sorted distances.
    falling = torch.empty_like(elevated).scatter_(1, rank, elevated / corners - steps)
    between = falling.flip(1).diff(dim=1)
    weights = torch.cat([1 + falling[:, -1:] - falling[:, :1], between], dim=1)
    return steps * corners, rank, weights


def _corner_keys(rounded: Tensor, rank: Tensor, *, sets: int) -> tuple[Tensor, Tensor]:
    """One int64 key per corner, and the step of the key per unit of each coordinate.

    Args:
        rounded: (N, d+1) remainder-0 corners.
        rank: (N, d+1) ranks.
        sets: number of consecutive sets of equal size that the points form.

    Returns:
        keys (N, d+1), equal for equal corners of one set and far from those of other sets; steps (d,), as the
        last coordinate follows from the others.
    """
    dimensions = rounded.shape[1] - 1
    margin = dimensions + 1  # corners and their neighbours lie less than this beyond the extremes
    lowest = rounded[:, :-1].amin(0) - 2 * margin
    extents = (rounded[:, :-1].amax(0) + 2 * margin + 1 - lowest).tolist()
    steps = [1]
    for extent in extents:
        steps.append(steps[-1] * extent)
    volume = steps.pop()
    if volume * sets >= 2**63:
        raise ValueError(_TOO_SMALL)
    step = torch.tensor(steps, device=rounded.device)
    own_set = torch.arange(sets, device=rounded.device).repeat_interleave(len(rounded) // sets)
    base = ((rounded[:, :-1] - lowest) * step).sum(1) + own_set * volume
    keys = [base]
    for remainder in range(1, dimensions + 1):
        is_wrapped = rank[:, :-1] > dimensions - remainder
        keys.append(base + ((remainder - margin * is_wrapped) * step).sum(1))
    return torch.stack(keys, dim=1), step


def _blur_neighbours(keys: Tensor, step: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each axis the two (M,) int64 neighbours of each vertex; M where there is none.

    Args:
        keys: (M,) the vertices, ascending.
        step: see `_corner_keys`.
    """
    count, corners = len(keys), len(step) + 1
    total = step.sum()
    neighbours = []
    for axis in range(corners):
        delta = -total if axis == corners - 1 else corners * step[axis] - total
        wanted = keys + delta
        place = torch.searchsorted(keys, wanted).clamp_(max=count - 1)
        is_there = keys[place] == wanted
        above = torch.where(is_there, place, count)
        below = torch.full_like(above, count)
        below[place[is_there]] = is_there.nonzero()[:, 0]
        neighbours.append((below, above))
    return neighbours
