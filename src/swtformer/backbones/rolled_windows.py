"""Recognises timm's Swins, which mix opposite borders of an image at some sizes."""

from __future__ import annotations

from typing import Any


def rolls_before_padding(block: Any) -> bool:
    """Whether a module is a shifted block of timm's Swin, Swin V2 or Swin V2 CR.

    These roll their grid before they pad it to whole windows (METHOD 4). So where the grid is not a multiple
    of the window, features of one border reach the opposite one.
    """
    shift, window = getattr(block, "shift_size", None), getattr(block, "window_size", None)
    return isinstance(shift, tuple) and isinstance(window, tuple) and any(shift)
