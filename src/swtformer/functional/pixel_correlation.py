"""SEAM's pixel correlation module: maps averaged over the pixels that look alike.

Wang, Zhang, Kan, Shan and Chen, Self-supervised Equivariant Attention Mechanism for Weakly Supervised
Semantic Segmentation, CVPR 2020, doi:10.1109/CVPR42600.2020.01229, Eq. 5 to 8.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5
"""Added to norms of features and to sums of affinities, as in SEAM's code."""

ROWS_PER_BLOCK = 2048
"""Rows of the affinity that are held at a time."""


def pixel_correlation(maps: Tensor, features: Tensor) -> Tensor:
    """Each map's mean at every place over all places, weighted by how alike the features are (Eq. 8).

        y_i = Σ_j a_ij x_j / (Σ_j a_ij + ε), a_ij = max(0, ⟨f_i, f_j⟩ / ((‖f_i‖ + ε) (‖f_j‖ + ε)))

    The paper's equation has no ε. A place whose features are all 0 becomes 0. Without gradients, memory grows
    with the places and not with their square.

    Args:
        maps: (B, K, h, w).
        features: (B, D, h, w) on the same grid.

    Returns:
        (B, K, h, w), within the range of 0 and each map.

    Raises:
        ValueError: the grids differ.
    """
    if maps.shape[-2:] != features.shape[-2:]:
        raise ValueError(
            f"maps and features must share a grid, got {tuple(maps.shape)} and {tuple(features.shape)}"
        )
    unit = features / (features.norm(dim=1, keepdim=True) + EPSILON)
    places, values = unit.flatten(2).mT, maps.flatten(2).mT
    # A traced graph cannot hold a number of blocks that depends on the size of the image.
    blocks = (places,) if torch.compiler.is_exporting() else places.split(ROWS_PER_BLOCK, dim=1)
    made = []
    for rows in blocks:
        affinity = (rows @ places.mT).relu()
        made.append(affinity @ values / (affinity.sum(-1, keepdim=True) + EPSILON))
    return torch.cat(made, dim=1).mT.reshape(maps.shape)


def only_strongest(maps: Tensor) -> Tensor:
    """At each place, foreground maps below the largest one become 0; the background, index 0, stays.

    Args:
        maps: (B, C+1, h, w), C at least 1.
    """
    foreground = maps[:, 1:]
    kept = foreground * (foreground == foreground.amax(1, keepdim=True))
    return torch.cat([maps[:, :1], kept], dim=1)
