"""Label images against what they belong to: their class list and their image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.records import Record
from swtformer.errors import DataError, some
from swtformer.label_values import IGNORED, values_in


def read_labels(path: Path, classes: Sequence[str]) -> np.ndarray:
    """Read a label image of a class list.

    Args:
        path: PNG of label values.
        classes: class names, without background.

    Returns:
        (H, W) uint8; 0 background, k+1 for class index k, 255 ignored or undecided.

    Raises:
        DataError: the file is not a label image, or holds other values.
        ImageError: it is missing or damaged.
    """
    labels = read_mask(path)
    require_known_labels(labels, path, classes)
    return labels


def read_truth(record: Record, classes: Sequence[str]) -> np.ndarray:
    """Read the ground-truth mask of a record that has one; see `read_labels`."""
    assert record.mask is not None
    labels = read_mask(record.mask, record.colours)
    require_known_labels(labels, record.mask, classes)
    return labels


def require_known_labels(labels: np.ndarray, path: Path | str, classes: Sequence[str]) -> None:
    """Refuse a label image with values that are neither a class nor 255.

    Raises:
        DataError: it has some.
    """
    if strays := [value for value in values_in(labels) if len(classes) < value < IGNORED]:
        last = f" ({classes[-1]})" if classes else ""
        raise DataError(
            f"{path}: expected values 0 (background) to {len(classes)}{last} or 255 (ignored), got "
            f"{some(strays)}. Are these masks of another class list?"
        )


def require_same_size(
    size: tuple[int, ...], source: object, other_size: tuple[int, ...], other: object
) -> None:
    """Refuse masks, maps or images of different sizes that belong together; nothing is ever resized silently.

    Args:
        size: (height, width) of the first.
        source: the first in the message, such as its path.
        other_size: (height, width) of the second.
        other: the second in the message.

    Raises:
        DataError: the sizes differ.
    """
    if tuple(size) != tuple(other_size):
        raise DataError(
            f"{source} is for {size[1]}×{size[0]} pixels, {other} has {other_size[1]}×{other_size[0]}. "
            "Expected equal sizes; was the image resized, or turned by its EXIF orientation (data.exif)? A "
            "mask of another size must be resized to the image's, by nearest neighbour."
        )
