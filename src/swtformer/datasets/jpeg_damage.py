"""Finds damage in JPEGs that libjpeg decodes without a warning.

A flipped bit changes the brightness of a block, and with it that of all later blocks, because each is
stored as the difference from the one before. If it also changes the length of a code, everything after it
is read from the wrong bits. libjpeg notices if data are left over at the end, or run out. Until then it
accepts blocks that are far brighter than white or darker than black, and clips them.
"""

from __future__ import annotations

import io

import simplejpeg

from swtformer.datasets.containers import jpeg_segments

BRIGHTEST = 8 * (127 + 31)
"""Largest size of a block's constant coefficient (its mean in [-128, 127] times 8) before rounding.

mozjpeg lets pixels beside white ones overshoot by up to 31; other encoders stay within [-1024, 1016].
"""

_FRAMES_BY_BLOCKS = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_QUANTISATION = 0xDB


def require_possible_brightness(data: bytes) -> None:
    """Check that the mean of every block is possible for 8-bit pixels.

    libjpeg does not return the constant coefficients. But every pixel of the picture at an eighth of its
    size is one of them, times its quantiser and clipped: with all quantisers set to 1, no possible value is
    clipped. This takes about two thirds of the time of decoding.

    Args:
        data: a JPEG that libjpeg decodes, grey or of three components.

    Raises:
        ValueError: a block is brighter or darker than any pixels.
    """
    patched = bytearray(data)
    quantisers: dict[int, int] = {}
    used: list[int] = []
    stream = io.BytesIO(data)
    for marker, start, end in jpeg_segments(stream):
        if marker == _QUANTISATION:
            quantisers |= _set_to_one(patched, start, end)
        elif marker in _FRAMES_BY_BLOCKS:
            used = [data[place] for place in range(start + 8, end, 3)]
    # Tables between scans, which are rare, would replace the quantisers set above.
    if data.find(b"\xff\xdb", stream.tell()) >= 0 or not set(used) <= quantisers.keys():
        return
    smallest = min(quantisers[table] for table in used)
    eighth = simplejpeg.decode_jpeg(bytes(patched), "GRAY", min_height=1, min_width=1, strict=False)
    deviation = max(int(eighth.max()) - 128, 128 - int(eighth.min()))
    coefficient = 8 * deviation - 4  # at least, as the eighth was rounded
    if coefficient * smallest > BRIGHTEST + smallest / 2:
        raise ValueError("a part of it is brighter than white or darker than black")


def _set_to_one(data: bytearray, start: int, end: int) -> dict[int, int]:
    """Set the first quantiser of each table of a segment to 1; return the old ones by table number."""
    before = {}
    while start < end:
        bytes_each, table = 1 + (data[start] >> 4), data[start] & 15
        before[table] = int.from_bytes(data[start + 1 : start + 1 + bytes_each], "big")
        data[start + 1 : start + 1 + bytes_each] = (1).to_bytes(bytes_each, "big")
        start += 1 + 64 * bytes_each
    return before
