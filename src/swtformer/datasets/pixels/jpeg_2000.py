"""JPEG 2000, as Sentinel-2 scenes come: of any depth and any number of bands.

Pillow reads up to four bands, and shifts colours to 8 bits. imagecodecs, of the extra `tiff`, reads the rest.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

from swtformer.datasets.pixels.opened_files import UnclearPixels
from swtformer.datasets.pixels.pillow_images import of_bytes
from swtformer.datasets.pixels.stored_pixels import StoredPixels

SIGNATURES = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
HEADER_BYTES = 2**16
"""The codestream begins within these."""

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZE = ">2xHIIIIIIIIH"


class Header(NamedTuple):
    """What the codestream says of the image."""

    height: int
    width: int
    bits: int
    bands: int


def read_header(data: bytes) -> Header:
    """The header of the codestream.

    Args:
        data: the file, or its first `HEADER_BYTES`.

    Raises:
        ValueError: there is none.
    """
    start = data.find(_CODESTREAM)
    try:
        if start < 0:
            raise ValueError("its header is cut off")
        _, right, bottom, left, top, _, _, _, _, bands = struct.unpack_from(_SIZE, data, start + 4)
        depth = data[start + 4 + struct.calcsize(_SIZE)]
    except (struct.error, IndexError):
        raise ValueError("its header is cut off") from None
    return Header(bottom - top, right - left, (depth & 127) + 1, bands)


def decode(data: bytes) -> StoredPixels:
    """The values of a complete file.

    Raises:
        UnclearPixels: it needs the extra `tiff`.
    """
    header = read_header(data)
    if header.bits <= 8 and header.bands in (1, 3):
        image = Image.open(io.BytesIO(data), formats=("JPEG2000",))
        pixels = np.array(image.convert("L" if header.bands == 1 else "RGB"))
        return of_bytes(pixels[:, :, None] if header.bands == 1 else pixels)
    about = f"{header.bands} band{'s' if header.bands > 1 else ''} of uint{header.bits} (JPEG 2000)"
    try:
        from imagecodecs import jpeg2k_decode
    except ModuleNotFoundError:
        raise UnclearPixels(
            f"holds {about}, which needs the extra `tiff`: pip install 'swtformer[tiff]'"
        ) from None
    values: np.ndarray = jpeg2k_decode(data)
    values = values[:, :, None] if values.ndim == 2 else values
    full = (0, 2**header.bits - 1)
    return StoredPixels(values, full, header.bands if header.bands in (1, 3) else 0, about)
