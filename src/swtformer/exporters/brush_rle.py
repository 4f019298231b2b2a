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
    lengths = np.diff(ends, prepend=0).tolist()
    inside = bool(flat[0])
    bits = [f"{len(flat) * CHANNELS:032b}{WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in FIELD_BITS)]
    for length in lengths:
        word = f"{255 if inside else 0:0{WORD_BITS}b}"
        bits.extend(head + word for head in _heads(length))
        inside = not inside
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return list(int(joined, 2).to_bytes(len(joined) // 8, "big"))


def _heads(length: int) -> list[str]:
    """The blocks of one run, without their words; a run too long for the largest field takes several."""
    longest = 1 << FIELD_BITS[-1]
    whole, rest = divmod(length, longest)
    heads = [f"1{len(FIELD_BITS) - 1:02b}{longest - 1:b}"] * whole
    if rest:
        choice = next(i for i, size in enumerate(FIELD_BITS) if rest <= 1 << size)
        heads.append(f"1{choice:02b}{rest - 1:0{FIELD_BITS[choice]}b}")
    return heads


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
