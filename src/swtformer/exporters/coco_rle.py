"""Decode COCO run-length codes of unknown origin; the C code of pycocotools does not check its counts.

Counts alternate between pixels outside and inside, column by column. In the compressed form each count (from
the fourth on, its difference to the count two before) is written in characters of 5 bits, the lowest first,
with a sixth bit if more follow, each plus 48.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MAX_CHARACTERS = 7
"""Longest code of one count; no image has a number of pixels of more than 32 bits."""


def decode_rle(counts: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode a region.

    Args:
        counts: text (compressed) or list of whole numbers.
        size: (height, width).

    Returns:
        (H, W) bool.

    Raises:
        ValueError: the code is damaged or for another number of pixels.
    """
    lengths = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, Sequence) or not all(type(item) is int and item >= 0 for item in lengths):
        raise ValueError("the RLE counts are not whole numbers from 0")
    height, width = size
    if sum(lengths) != height * width:
        raise ValueError(f"the RLE is for {sum(lengths)} pixels, expected {width}×{height}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _decompressed(text: str) -> list[int]:
    counts: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        while True:
            if position == len(text) or shift == 5 * MAX_CHARACTERS:
                raise ValueError("the RLE is cut off")
            bits = ord(text[position]) - 48
            if not 0 <= bits < 64:
                raise ValueError(f"the RLE holds the character {text[position]!r}")
            value |= (bits & 31) << shift
            shift += 5
            position += 1
            if not bits & 32:
                break
        if bits & 16:  # a negative difference
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return counts
