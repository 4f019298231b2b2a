"""Mean-field inference in a fully connected CRF with Gaussian pairwise terms.

Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, NeurIPS
2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import log

import torch
from torch import Tensor

from swtformer.functional.permutohedral import PermutohedralLattice

KEPT_PX = 2**20
"""Pixels of the largest image whose smoothness kernel is kept, with 50 MB, for the next one of its size."""


@dataclass(frozen=True)
class PairwiseTerms:
    """Potts terms between all pairs of pixels (METHOD 7).

    Attributes:
        gaussian_px: standard deviation in pixels of the smoothness kernel.
        gaussian_weight: cost of different labels at two near pixels.
        bilateral_px: standard deviation in pixels of the appearance kernel.
        bilateral_rgb: its standard deviation in colour, on the scale of 0 to 255.
        bilateral_weight: cost of different labels at two near pixels of similar colour.
    """

    gaussian_px: float
    gaussian_weight: float
    bilateral_px: float
    bilateral_rgb: float
    bilateral_weight: float


def are_too_small(terms: PairwiseTerms, *, side_px: int) -> bool:
    """Whether the standard deviations could make `mean_field` refuse an image of up to side_px × side_px."""
    ends = torch.tensor([0.0, 1.0])
    places, colours = side_px / terms.bilateral_px, 255 / terms.bilateral_rgb
    try:  # what counts is how far apart the corners of the space of positions and colours lie
        if terms.gaussian_weight > 0:
            PermutohedralLattice(torch.cartesian_prod(*[ends * (side_px / terms.gaussian_px)] * 2))
        if terms.bilateral_weight > 0:
            PermutohedralLattice(torch.cartesian_prod(*[ends * places] * 2, *[ends * colours] * 3))
    except ValueError:
        return True
    return False


def label_energies(labels: Tensor, *, count: int, certainty: float) -> Tensor:
    """−log p of every label, where each pixel's own label has p = `certainty` and the others share the rest.

    Args:
        labels: (H, W) int64, 0 to count − 1.
        count: number of labels, 2 at least.
        certainty: in (0, 1).

    Returns:
        (count, H, W) float32.
    """
    energies = torch.full((count, *labels.shape), -log((1 - certainty) / (count - 1)), device=labels.device)
    return energies.scatter_(0, labels[None], -log(certainty))


def map_energies(maps: Tensor) -> Tensor:
    """−log p, where p is each pixel's maps divided by their sum; at least 1e-5, so never infinite.

    Args:
        maps: (L, H, W), not below 0.

    Returns:
        (L, H, W).
    """
    return -(maps / maps.sum(0).clamp(min=1e-5)).clamp(min=1e-5).log()


def mean_field(energies: Tensor, image: Tensor, *, terms: PairwiseTerms, iterations: int) -> Tensor:
    """Marginals Q of the labels: Q ← softmax(−energies + Σ_k w_k K_k Q), `iterations` times.

    K is the kernel of each term, normalised on both sides by the root of its row sums, as `pydensecrf` does
    by default; the sum includes a pixel's own Q, as there. Memory grows linearly with the pixels; the
    lattices take most of it, while they are built (benchmarks/refiners.py measures it).

    Args:
        energies: (…, L, H, W) float32 unary energies; leading dimensions are independent images. Labels
            that an image does not have get the energy +inf.
        image: (…, 3, H, W) float32 RGB in [0, 1], on the same device.
        terms: the pairwise terms.
        iterations: rounds of message passing.

    Returns:
        (…, L, H, W) in [0, 1], sums to 1 over the labels; 0 where the energy is +inf.

    Raises:
        ValueError: the numbers or sizes differ, or a standard deviation is too small for the image.
    """
    if energies.shape[:-3] + energies.shape[-2:] != image.shape[:-3] + image.shape[-2:]:
        raise ValueError(f"Expected energies and image of one size, got {energies.shape} and {image.shape}.")
    labels, height, width = energies.shape[-3:]
    unary = -energies.reshape(-1, labels, height * width).mT.contiguous()
    near = _near_pixels(height, width, terms.gaussian_px, image) if terms.gaussian_weight > 0 else None
    alike = _alike_pixels(image, terms) if terms.bilateral_weight > 0 else None
    marginals = _softmax(unary)
    for _ in range(iterations):
        logits = unary.clone()
        if near is not None:  # one lattice for all images, whose labels are its channels
            filtered = near.filter(marginals.movedim(0, 1).flatten(1)).view(-1, len(unary), labels)
            logits.add_(filtered.movedim(1, 0), alpha=terms.gaussian_weight)
        if alike is not None:
            logits.add_(alike.filter(marginals), alpha=terms.bilateral_weight)
        marginals = _softmax(logits)
    return marginals.mT.reshape(energies.shape)


def _softmax(logits: Tensor) -> Tensor:
    """Softmax over the last axis of (…, N, L): by planes, as rows of a few numbers keep vector units idle."""
    return logits.mT.softmax(-2).mT.contiguous()


def _alike_pixels(image: Tensor, terms: PairwiseTerms) -> PermutohedralLattice:
    """The appearance kernel of (…, 3, H, W) images."""
    height, width = image.shape[-2:]
    positions = _positions(height, width, image) / terms.bilateral_px
    colours = image * (255 / terms.bilateral_rgb)
    features = torch.cat([positions.expand(*image.shape[:-3], -1, -1, -1), colours], dim=-3)
    return _normalised(features)


def _near_pixels(height: int, width: int, gaussian_px: float, like: Tensor) -> PermutohedralLattice:
    """The smoothness kernel, which depends on the size alone: kept for the next image of that size."""
    if height * width > KEPT_PX:
        return _normalised(_positions(height, width, like) / gaussian_px)
    return _kept_near_pixels(height, width, gaussian_px, like.dtype, like.device)


@lru_cache(maxsize=4)
def _kept_near_pixels(
    height: int, width: int, gaussian_px: float, dtype: torch.dtype, device: torch.device
) -> PermutohedralLattice:
    like = torch.empty(0, dtype=dtype, device=device)
    return _normalised(_positions(height, width, like) / gaussian_px)


def _positions(height: int, width: int, like: Tensor) -> Tensor:
    """(2, H, W) column and row of each pixel, of the type and on the device of another tensor."""
    rows, columns = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([columns, rows]).to(like)


def _normalised(features: Tensor) -> PermutohedralLattice:
    """The kernel of (…, d, H, W) features, divided by the roots of its row sums."""
    lattice = PermutohedralLattice(features.flatten(-2).mT)
    lattice.normalise()
    return lattice
