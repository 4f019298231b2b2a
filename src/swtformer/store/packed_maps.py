"""Maps as few bytes, quickly: smooth maps differ little from one row to the next.

The 16-bit numbers of each row are stored as their differences from the row above (wrapping around), all low
bytes before all high bytes, as zlib's runs and Huffman codes. General deflate looks for repeated strings as
well; maps have few, and the search takes most of its time (benchmarks/host.md).
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np

_SHAPE = struct.Struct("<3I")
_ROWS = -2


def packed(maps: np.ndarray) -> np.ndarray:
    """Pack (K, h, w) maps of any 16-bit type into (bytes,) uint8, without loss."""
    numbers = np.ascontiguousarray(maps).view(np.uint16)
    differences = numbers.copy()
    differences[:, 1:] -= numbers[:, :-1]
    planes = np.empty((2, *maps.shape), dtype=np.uint8)
    planes[0] = differences & 0xFF
    planes[1] = differences >> 8
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    content = _SHAPE.pack(*maps.shape) + deflate.compress(planes.tobytes()) + deflate.flush()
    return np.frombuffer(content, dtype=np.uint8)


def unpacked(content: np.ndarray, dtype: type[np.float16 | np.int16]) -> np.ndarray:
    """The (K, h, w) maps of the type that was packed.

    Raises:
        ValueError: the bytes are damaged or something else.
    """
    data = content.tobytes()
    if content.dtype != np.uint8 or len(data) < _SHAPE.size:
        raise ValueError("its maps are not packed")
    shape = _SHAPE.unpack_from(data)
    count = math.prod(shape)
    inflate = zlib.decompressobj()
    try:
        # No more than the shape says, whatever the stream holds.
        planes = inflate.decompress(data[_SHAPE.size :], 2 * count + 1)
    except zlib.error as error:
        raise ValueError(f"its maps are damaged ({error})") from None
    if len(planes) != 2 * count or not inflate.eof:
        raise ValueError("its maps have another size than they say")
    low, high = np.frombuffer(planes, dtype=np.uint8).reshape(2, *shape).astype(np.uint16)
    differences = low | high << 8
    return np.add.accumulate(differences, axis=_ROWS, out=differences).view(dtype)
