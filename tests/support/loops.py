"""Layers in plain NumPy, to hold networks against."""

from __future__ import annotations

import numpy as np
from torch import nn


def resampled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) maps on another grid: a triangle around each target's centre, as wide as the larger cell."""
    for axis, target in zip((1, 2), size, strict=True):
        source = maps.shape[axis]
        cell = source / target
        weights = np.zeros((target, source))
        for i in range(target):
            for j in range(source):
                weights[i, j] = max(0.0, 1 - abs(j + 0.5 - (i + 0.5) * cell) / max(cell, 1))
        weights /= weights.sum(1, keepdims=True)
        maps = np.moveaxis(np.tensordot(weights, maps, axes=(1, axis)), 0, axis)
    return maps


def projected(maps: np.ndarray, layers: nn.Module, groups: int = 4) -> np.ndarray:
    """(C, h, w) maps through the 1×1 convolution and the group norm that a projection begins with."""
    convolution, norm, *_ = layers.children()
    made = np.tensordot(array(convolution.weight)[:, :, 0, 0], maps, axes=1)
    for group in np.array_split(made, groups):
        group[...] = (group - group.mean()) / np.sqrt(group.var() + 1e-5)
    return made * array(norm.weight)[:, None, None] + array(norm.bias)[:, None, None]


def array(values: object) -> np.ndarray:
    """A parameter or tensor as float64."""
    return np.asarray(values.detach().numpy(), dtype=np.float64)  # type: ignore[attr-defined]
