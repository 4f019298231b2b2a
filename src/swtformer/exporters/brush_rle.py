"""Label Studio's run-length code of brush strokes: @thi.ng/rle-pack over RGBA pixels, row by row.

A bit stream, most significant bit first: 32 bits for the number of values, 5 bits for the word size − 1,
four times 4 bits for a field size − 1, then blocks until all values are written. A block is 1 bit "is a
run", 2 bits that choose one of the four field sizes, a field of that size with the number of values − 1, and
one word for a run, else one word per value. Only the alpha channel says where the brush was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WORD_BITS = 8
FIELD_BITS = (3, 4, 8, 16)
CHANNELS = 4


def encode_brush(region: np.ndarray) -> list[int]:
    """Code a region; all four channels are 255 inside and 0 outside.

    Args:
        region: (H, W) bool.

    Returns:
        The bytes of the code as numbers, as Label Studio's JSON holds them.
    """
    flat = region.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, len(flat)) * CHANNELS
    runs = np.diff(ends, prepend=0)
    words = np.where(np.arange(len(runs)) % 2 == (0 if flat[0] else 1), (1 << WORD_BITS) - 1, 0)
    # A run too long for the largest field takes several blocks.
    longest = 1 << FIELD_BITS[-1]
    blocks = -(-runs // longest)
    lengths = np.full(blocks.sum(), longest)
    lengths[blocks.cumsum() - 1] = runs - (blocks - 1) * longest
    choices = np.searchsorted(1 << np.array(FIELD_BITS), lengths)
    fields = np.array(FIELD_BITS)[choices]
    codes = ((0b100 | choices) << fields | (lengths - 1)) << WORD_BITS | np.repeat(words, blocks)
    head = f"{len(flat) * CHANNELS:032b}{WORD_BITS - 1:05b}" + "".join(
        f"{size - 1:04b}" for size in FIELD_BITS
    )
    bits = np.concatenate([np.array(list(head)) == "1", _bits(codes, 3 + fields + WORD_BITS)])
    return np.packbits(bits).tolist()


def _bits(numbers: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(Σ widths,) bool digits of numbers that are written with so many bits each, the highest bit first."""
    ends = widths.cumsum()
    shifts = np.repeat(ends, widths) - 1 - np.arange(ends[-1])
    bits: np.ndarray = np.repeat(numbers, widths) >> shifts & 1
    return bits.astype(bool)


def decode_brush(code: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Decode a region.

    Args:
        code: the bytes as numbers.
        size: (height, width) that it must have.

    Returns:
        (H, W) bool: where alpha is not 0.

    Raises:
        ValueError: the code is cut off, or has another number of pixels.
    """
    expected = size[0] * size[1] * CHANNELS
    if not isinstance(code, list) or not all(type(byte) is int and 0 <= byte <= 255 for byte in code):
        raise ValueError("the RLE is not a list of bytes")
    bits = "".join(f"{byte:08b}" for byte in code)
    position = 0

    def take(count: int) -> int:
        nonlocal position
        position += count
        if position > len(bits):
            raise ValueError("the RLE is cut off")
        return int(bits[position - count : position], 2)

    number = take(32)
    if number != expected:
        raise ValueError(f"the RLE is for {number // CHANNELS} pixels, expected {size[1]}×{size[0]}")
    word_bits = take(5) + 1
    fields = [take(4) + 1 for _ in range(4)]
    values = np.zeros(number, dtype=bool)
    done = 0
    while done < number:
        is_run = take(1)
        count = take(fields[take(2)]) + 1
        if done + count > number:
            raise ValueError("the RLE holds more values than it says")
        if is_run:
            values[done : done + count] = take(word_bits) != 0
        else:
            values[done : done + count] = [take(word_bits) != 0 for _ in range(count)]
        done += count
    return values.reshape(*size, CHANNELS)[..., 3]
