"""From a mask to the objects that annotation tools edit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from swtformer.errors import SwtformerError
from swtformer.label_values import IGNORED, values_in


def objects(labels: np.ndarray, how: Literal["class", "component"]) -> Iterator[tuple[int, np.ndarray]]:
    """The objects of a mask: "ignored" first, so that it lies below the others, then by mask value.

    Args:
        labels: (H, W) uint8; 0 is background.
        how: one object per class, or one per connected part of it (pixels that touch at a corner are
            connected). Value 255 is always one object.

    Yields:
        Mask value and (H, W) bool region.

    Raises:
        SwtformerError: components need scipy, which is not installed.
    """
    values = [value for value in values_in(labels) if value != 0]
    for value in sorted(values, key=lambda value: (value != IGNORED, value)):
        region = labels == value
        if how == "class" or value == IGNORED:
            yield value, region
        else:
            yield from ((value, part) for part in _components(region))


def box_of(region: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around a (H, W) bool region; empty where the region is."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _components(region: np.ndarray) -> Iterator[np.ndarray]:
    try:
        from scipy import ndimage
    except ImportError:
        raise SwtformerError(
            "export.objects component needs scipy: pip install 'swtformer[export]'"
        ) from None
    numbers, count = ndimage.label(region, structure=np.ones((3, 3)))
    for number in range(1, count + 1):
        yield numbers == number
