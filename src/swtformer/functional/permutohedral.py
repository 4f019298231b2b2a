"""Gaussian filtering in many dimensions on the permutohedral lattice.

Adams, Baek and Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, Eurographics 2010.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_TOO_SMALL = "The standard deviations are too small for this many dimensions and this range."
_FARTHEST = 2**20


class PermutohedralLattice:
    """Σ_j exp(−|f_i − f_j|² / 2) v_j for N points in d dimensions, at a cost linear in N, up to a factor.

    Each point lies in a simplex of the lattice A*_d and spreads its value over the d + 1 corners ("splat");
    the corners are blurred with [½, 1, ½] along each of the d + 1 axes, and each point gathers them
    ("slice"). Only corners that some point touches exist. The result is that of `pydensecrf`, on any device,
    and the same at every call: sums run over sorted neighbours, without atomic additions.

    Args:
        features: (…, N, d) floats on any device, N at least 1, divided by the standard deviations wanted;
            leading dimensions are independent sets of points, such as images.

    Raises:
        ValueError: the features span more standard deviations than 64-bit keys can count, fewer where there
            are many sets; or one is 2**20 or more, where float32 can hardly separate lattice points.
    """

    def __init__(self, features: Tensor) -> None:
        sets = features.shape[:-2].numel()
        features = features.flatten(0, -2)
        if not features.abs().amax() < _FARTHEST:  # also false for nan
            raise ValueError(_TOO_SMALL)
        points, dimensions = features.shape
        corners = dimensions + 1
        # In planes of N numbers, one per coordinate: rows of a few numbers keep vector units idle.
        rounded, rank, weights = _simplices(features.T)
        keys, step = _corner_keys(rounded, rank, sets=sets)
        keys, order = _sorted(keys.T.reshape(-1))
        first = torch.cat([keys.new_ones(1, dtype=torch.bool), keys[1:] != keys[:-1]])
        vertices = torch.empty_like(order, dtype=torch.int32)
        vertices[order] = first.cumsum(0, dtype=torch.int32) - 1
        # As int32, which halves the memory and is all that embedding_bag needs.
        self._corners = vertices.view(points, corners)
        self._weights = weights.T.contiguous()
        self._splat_points = (order // corners).int()
        self._splat_weights = self._weights.view(-1).index_select(0, order)
        # The last bag is empty: its sum, 0, stands for missing neighbours.
        self._splat_starts = F.pad(first.nonzero()[:, 0].int(), (0, 1), value=len(order))
        self._neighbours = _blur_neighbours(keys[first], step)
        self._blur_weights = self._weights.new_tensor([1, 0.5, 0.5]).repeat(len(self._neighbours[0]), 1)

    def normalise(self) -> None:
        """Divide the kernel on both sides by the roots of its row sums, as `pydensecrf` does by default."""
        sums = self.filter(self._weights.new_ones(len(self._weights), 1))
        roots = sums.clamp(min=1e-20).rsqrt()
        self._weights *= roots
        self._splat_weights *= roots[:, 0][self._splat_points]

    def filter(self, values: Tensor) -> Tensor:
        """Filter values of the points.

        Args:
            values: (…, N, C), of the features' type and device.

        Returns:
            (…, N, C).
        """
        # A bag of embeddings is a sparse matrix times a dense one.
        vertices = F.embedding_bag(
            self._splat_points,
            values.flatten(0, -2),
            self._splat_starts,
            mode="sum",
            per_sample_weights=self._splat_weights,
        )
        for bags in self._neighbours:
            vertices = F.embedding_bag(bags, vertices, mode="sum", per_sample_weights=self._blur_weights)
        gathered = F.embedding_bag(self._corners, vertices, mode="sum", per_sample_weights=self._weights)
        return gathered.view(values.shape)


def _simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The simplex around each point.

    Args:
        features: (d, N) floats.

    Returns:
        Its remainder-0 corner (d+1, N) int64; the rank (d+1, N) int64 of each coordinate's distance from it,
        0 for the largest; and the weights (d+1, N) of the corners by remainder, which sum to 1.
    """
    dimensions = len(features)
    corners = dimensions + 1
    # Onto the plane Σx = 0, scaled such that the blur has a standard deviation of 1 in the features.
    places = torch.arange(1, corners, device=features.device, dtype=features.dtype)[:, None]
    scaled = features * (corners * (2 / 3) ** 0.5 / (places * (places + 1)).sqrt())
    tail = scaled.flip(0).cumsum(0).flip(0)
    elevated = F.pad(tail, (0, 0, 0, 1)) - F.pad(places * scaled, (0, 0, 1, 0))
    # The nearest lattice point whose coordinates are multiples of d + 1; its sum may be off by some of them.
    steps = (elevated / corners).round()
    distance = elevated - steps * corners
    # Each coordinate begins behind those before it; int8 and bool views of it keep the comparisons cheap.
    places_before = torch.arange(corners, device=features.device, dtype=torch.int8)
    behind = places_before[:, None].repeat(1, features.shape[1])
    for i in range(corners):
        for j in range(i + 1, corners):
            is_behind = (distance[i] < distance[j]).view(torch.int8)
            behind[i] += is_behind
            behind[j] -= is_behind
    rank = steps.sum(0) + behind
    shift = (rank < 0).to(steps) - (rank > dimensions).to(steps)
    rank = (rank + shift * corners).long()
    steps += shift
    # Barycentric coordinates: differences of the distances in falling order.
    falling = torch.empty_like(elevated).scatter_(0, rank, elevated / corners - steps)
    weights = torch.cat([1 + falling[-1:] - falling[:1], falling.flip(0).diff(dim=0)])
    return steps.long() * corners, rank, weights


def _corner_keys(rounded: Tensor, rank: Tensor, *, sets: int) -> tuple[Tensor, Tensor]:
    """One int64 per corner, and what a unit of each coordinate adds to it.

    Args:
        rounded: (d+1, N) remainder-0 corners.
        rank: (d+1, N) ranks.
        sets: number of sets of points, of equal size and one after the other.

    Returns:
        keys (d+1, N), not below 0, equal for equal corners of one set and far from those of other sets; steps
        (d,). The last coordinate follows from the others.
    """
    dimensions = len(rounded) - 1
    margin = dimensions + 1  # corners and their neighbours lie less than this beyond the extremes
    lowest = rounded[:-1].amin(1) - 2 * margin
    extents = (rounded[:-1].amax(1) + 2 * margin + 1 - lowest).tolist()
    steps = [1]
    for extent in extents:
        steps.append(steps[-1] * extent)
    volume = steps.pop()
    if volume * sets >= 2**63:
        raise ValueError(_TOO_SMALL)
    step = torch.tensor(steps, device=rounded.device)
    own_set = torch.arange(sets, device=rounded.device).repeat_interleave(rounded.shape[1] // sets)
    keys = torch.empty_like(rounded)
    keys[0] = ((rounded[:-1] - lowest[:, None]) * step[:, None]).sum(0) + own_set * volume
    # From one remainder to the next all coordinates grow by 1, and that of the last rank left falls by d + 1.
    step_by_rank = torch.empty_like(rank).scatter_(0, rank, F.pad(step, (0, 1))[:, None].expand_as(rank))
    for remainder in range(1, margin):
        keys[remainder] = keys[remainder - 1] + (step.sum() - margin * step_by_rank[margin - remainder])
    return keys, step


def _sorted(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The (K,) keys, not below 0, in rising order, and the place of each before; equal ones keep their order.

    On the CPU, NumPy sorts keys and places packed into one number eight times as fast as torch sorts pairs.
    """
    bits = (len(keys) - 1).bit_length()
    if keys.device.type != "cpu" or int(keys.amax()) >> (63 - bits):
        found = keys.sort(stable=True)
        return found.values, found.indices
    packed = (keys << bits) | torch.arange(len(keys))
    packed.numpy().sort()
    return packed >> bits, packed & ((1 << bits) - 1)


def _blur_neighbours(keys: Tensor, step: Tensor) -> list[Tensor]:
    """For each axis (M+1, 3) int32: each vertex and its two neighbours; M for missing ones, and for M itself.

    Args:
        keys: (M,) the vertices, ascending.
        step: see `_corner_keys`.
    """
    count, corners = len(keys), len(step) + 1
    total = step.sum()
    own = torch.arange(count + 1, device=keys.device, dtype=torch.int32)
    neighbours = []
    for axis in range(corners):
        delta = -total if axis == corners - 1 else corners * step[axis] - total
        wanted = keys + delta
        place = torch.searchsorted(keys, wanted).clamp_(max=count - 1)
        is_there = keys[place] == wanted
        bags = torch.full((count + 1, 3), count, device=keys.device, dtype=torch.int32)
        bags[:, 0] = own
        bags[:-1, 1] = torch.where(is_there, place, count)
        bags[place[is_there], 2] = own[:-1][is_there]
        neighbours.append(bags)
    return neighbours
