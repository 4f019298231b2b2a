"""Tensors of MXNet's `.params` files, read without MXNet, which current Python has no packages of."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from swtformer.errors import CheckpointError

LIST_MAGIC = 0x112
"""First 8 bytes of a file with a list of arrays."""
WIDE_SHAPE, WITH_STORAGE = 0xF993FAC8, 0xF993FAC9
"""First word of an array with 64-bit sides, and of one that says how it is stored as well; in older files the
first word is the number of sides, which have 32 bits."""
TYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")
LARGEST_RANK = 8


def read_params(path: Path) -> dict[str, Tensor]:
    """Named dense arrays of a file that `mxnet.nd.save` wrote, in float32 if they are in half precision.

    Names keep MXNet's prefixes (`arg:`, `aux:`). Nothing in the file is executed.

    Raises:
        CheckpointError: it is truncated, no such file, or holds sparse arrays or arrays without names.
    """
    try:
        words = _Words(path.read_bytes())
        magic, _, count = words.take("QQQ")
        if magic != LIST_MAGIC:
            raise ValueError("it begins with other bytes")
        tensors = [_tensor(words) for _ in range(count)]
        (named,) = words.take("Q")
        if named != count:
            raise ValueError(f"it has {count} arrays and {named} names")
        names = [bytes(words.content(words.take("Q")[0])).decode() for _ in range(count)]
    except (OSError, ValueError, struct.error) as error:
        raise CheckpointError(
            f"Weights file {path} is truncated or not a .params file of MXNet: {error}. Download it again."
        ) from None
    return dict(zip(names, tensors, strict=True))


class _Words:
    """Bytes that are taken one after the other."""

    def __init__(self, held: bytes) -> None:
        self.held = memoryview(held)
        self.place = 0

    def take(self, layout: str) -> tuple[int, ...]:
        """Little-endian numbers, as `struct` names them."""
        layout = "<" + layout
        return struct.unpack(layout, self.content(struct.calcsize(layout)))

    def content(self, length: int) -> memoryview:
        if length > len(self.held) - self.place:
            raise ValueError("it ends too early")
        self.place += length
        return self.held[self.place - length : self.place]


def _tensor(words: _Words) -> Tensor:
    (rank,) = words.take("I")
    wide = rank in (WIDE_SHAPE, WITH_STORAGE)
    if rank == WITH_STORAGE and words.take("i") != (0,):
        raise ValueError("it has sparse arrays")
    if wide:
        (rank,) = words.take("I")
    if not 0 < rank <= LARGEST_RANK:
        raise ValueError(f"it has an array of {rank} sides")
    shape = words.take(f"{rank}{'q' if wide else 'I'}")
    _, _, kind = words.take("iii")  # device, its number, type
    if min(shape) < 0 or not 0 <= kind < len(TYPES):
        raise ValueError("it has an array of unknown type or negative sides")
    dtype = np.dtype(TYPES[kind])
    values = np.frombuffer(words.content(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
    return torch.from_numpy(values.astype(np.float32 if kind == 2 else dtype.newbyteorder("=")))
