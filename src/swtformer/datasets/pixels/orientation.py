"""Turns pixel grids by their EXIF orientation."""

from __future__ import annotations

import numpy as np

_INVERSE = {6: 8, 8: 6}


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an (H, W, …) array from EXIF orientation `orientation` to 1."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What `upright` made an (H, W, …) array from."""
    return upright(pixels, _INVERSE.get(orientation, orientation))
