"""Values of a label image: 0 is background, k+1 is class index k, 255 is a pixel without a label."""

from __future__ import annotations

import numpy as np

BACKGROUND = "background"
"""Name of label 0."""

IGNORED = 255
"""Pixels that are not scored (ground truth), not trained on (pseudo-masks) or not decided (predictions)."""

MOST_CLASSES = IGNORED - 1
"""Label images have 8 bits: 0 and 255 are no classes."""

IGNORED_NAME = "ignored"
"""Name of 255 in formats with named labels; VOC and CVAT use it too."""


def values_in(labels: np.ndarray) -> list[int]:
    """The values of a (H, W) uint8 label image, rising; only places where the value changes are sorted."""
    flat = labels.ravel()
    values: list[int] = np.unique(np.append(flat[:-1][flat[1:] != flat[:-1]], flat[-1:])).tolist()
    return values
