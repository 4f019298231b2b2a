"""Mean-field inference in a fully connected CRF with Gaussian pairwise terms.

Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, NeurIPS
2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from swtformer.functional.permutohedral import PermutohedralLattice

SMALLEST = 1e-5
"""Smallest probability of a label, so that its energy is finite."""


@dataclass(frozen=True)
class PairwiseTerms:
    """Potts terms between all pairs of pixels.

    Attributes:
        gaussian_px: standard deviation of the smoothness kernel, in pixels.
        gaussian_weight: cost of different labels for close pixels.
        bilateral_px: standard deviation of the appearance kernel, in pixels.
        bilateral_rgb: its standard deviation in colour, on the scale of 0 to 255.
        bilateral_weight: cost of different labels for close pixels of similar colour.
    """

    gaussian_px: float
    gaussian_weight: float
    bilateral_px: float
    bilateral_rgb: float
    bilateral_weight: float


def label_energies(labels: Tensor, *, count: int, certainty: float) -> Tensor:
    """−log p of every label, where each pixel's own label has p = `certainty` and the others share the rest.

    Args:
        labels: (H, W) int64, 0 to count − 1.
        count: number of labels, at least 2.
        certainty: in (0, 1).

    Returns:
        (count, H, W) float32.
    """
    energies = torch.full((count, *labels.shape), -log((1 - certainty) / (count - 1)), device=labels.device)
    return energies.scatter_(0, labels[None], -log(certainty))


def map_energies(maps: Tensor) -> Tensor:
    """−log p, where p is each pixel's maps divided by their sum, at least 1e-5.

    Args:
        maps: (L, H, W), not negative.

    Returns:
        (L, H, W).
    """
    return -(maps / maps.sum(0).clamp(min=SMALLEST)).clamp(min=SMALLEST).log()


def mean_field(energies: Tensor, image: Tensor, *, terms: PairwiseTerms, iterations: int) -> Tensor:
    """Marginals Q of the labels: Q ← softmax(−energies + Σ_k w_k K_k Q), `iterations` times.

    As in `pydensecrf`, the kernel K of each term is normalised on both sides by the root of its row sums, and
    a pixel's own Q is part of the sum. Memory grows linearly with the pixels. Most of it belongs to the
    lattices and peaks while they are built (measured in benchmarks/refiners.py).

    Args:
        energies: (…, L, H, W) float32 unary energies; leading dimensions are images. +inf for labels that an
            image does not have.
        image: (…, 3, H, W) float32 RGB in [0, 1], on the same device.
        terms: the pairwise terms.
        iterations: rounds of message passing.

    Returns:
        (…, L, H, W) in [0, 1], sums to 1 over the labels; 0 where the energy is +inf.

    Raises:
        ValueError: the shapes do not match, or a standard deviation is too small for the image.
    """
    if energies.shape[:-3] + energies.shape[-2:] != image.shape[:-3] + image.shape[-2:]:
        raise ValueError(f"Expected energies and image of one size, got {energies.shape} and {image.shape}.")
    height, width = energies.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
    )
    positions = torch.stack([columns, rows]).to(image).expand(*image.shape[:-3], -1, -1, -1)
    colours = image * (255 / terms.bilateral_rgb)
    kernels = []
    for weight, features in (
        (terms.gaussian_weight, positions / terms.gaussian_px),
        (terms.bilateral_weight, torch.cat([positions / terms.bilateral_px, colours], dim=-3)),
    ):
        if weight > 0:
            lattice = PermutohedralLattice(features.flatten(-2).mT)
            lattice.normalise()
            kernels.append((weight, lattice))
    unary = -energies.flatten(-2).mT.contiguous()
    marginals = unary.softmax(-1)
    for _ in range(iterations):
        logits = unary.clone()
        for weight, lattice in kernels:
            logits.add_(lattice.filter(marginals), alpha=weight)
        marginals = logits.softmax(-1)
    return marginals.mT.reshape(energies.shape)
