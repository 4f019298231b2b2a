"""Reads image files, which may be damaged, hostile or odd: the result is a whole RGB image or an ImageError.

The content of a file decides its format, never its name. Of several frames the first is read. JPEGs are
decoded by libjpeg-turbo through simplejpeg, with libjpeg's warnings as errors: Pillow hides them and fills
what is missing with grey. Everything else is decoded by Pillow.

Truncated files are always refused. So is any flipped bit of a PNG, which has checksums. JPEG, WebP, GIF,
BMP and TIFF have none, and most single flipped bits of a JPEG give another, equally valid picture that no
decoder can tell from the right one. libjpeg's warnings find one in eight single flipped bits in the scan of
photographs at quality 80, half of the files with five flipped bits, and 85 in 100 of those with twenty. A
`thorough` reading also looks for blocks of impossible brightness (see `jpeg_damage`) and finds one in five,
two in three, and 97 in 100. That takes about two thirds of the time of decoding, so training, which reads
every image once per epoch, does without it.

Colour profiles are not applied. All functions may be called from several threads.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from swtformer.datasets.containers import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    exif_orientation,
    jpeg_header,
    require_whole,
)
from swtformer.datasets.jpeg_damage import require_possible_brightness
from swtformer.errors import DataError, ImageError

MAX_PIXELS = 178_956_970
"""Images of more pixels are refused from their header (Pillow's own limit for decompression bombs)."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are refused unread: the largest image allowed, with four 16-bit channels, uncompressed."""

GROUND = (255, 255, 255)
"""RGB colour behind transparent images."""

_FORMATS = ("PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")

_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What decoders raise on damaged files."""

_INVERSE = {6: 8, 8: 6}

_silence = threading.Lock()


def read_image(path: Path, *, exif: Literal["raw", "apply"] = "raw", thorough: bool = False) -> np.ndarray:
    """Decode an image file.

    Grey is replicated. CMYK is converted without a profile; JPEGs hold it inverted, as Adobe does. Alpha,
    also that of palettes, is composited on `GROUND`. 16-bit values are scaled from [0, 65535] to [0,
    255]: greys are rounded; of colours Pillow keeps the high byte, which differs by 1 at most.

    Args:
        path: JPEG, PNG, WebP, GIF, TIFF, BMP or PPM file of any name.
        exif: raw keeps the stored pixel grid; apply turns the image upright as its EXIF orientation says.
        thorough: also look for damage that libjpeg decodes without a warning. Set it where an image is read
            once, to check it or to make a result of it.

    Returns:
        (H, W, 3) uint8 RGB, writable and contiguous.

    Raises:
        ImageError: the file is missing, not a regular file, not an image, truncated, damaged, over
            `MAX_PIXELS`, a JPEG of uncommon chroma subsampling, or holds 32-bit, signed or float values of
            unknown range.
    """
    with _refusing(path):
        data = _read(path)
        if data.startswith(JPEG_SIGNATURE):
            header = jpeg_header(io.BytesIO(data))
            _require_size(header.height, header.width)
            pixels, orientation = _decode_jpeg(data, header.components), header.orientation
            if thorough and header.components != 4:
                require_possible_brightness(data)
        else:
            image = _open_whole(data)
            orientation = _stored(image)[2]
            pixels = _decode(image, orientation)
        return _upright(pixels, orientation) if exif == "apply" else pixels


def check_readable(path: Path, *, exif: Literal["raw", "apply"] = "raw") -> str | None:
    """The reason why a thorough `read_image` refuses a file, or None."""
    try:
        read_image(path, exif=exif, thorough=True)
    except ImageError as error:
        return str(error)
    return None


def image_size(path: Path, *, exif: Literal["raw", "apply"] = "raw") -> tuple[int, int]:
    """(height, width) that `read_image` would give, from the header alone.

    Raises:
        ImageError: the file is missing, not a regular file, not an image, or over `MAX_PIXELS`. Damage
            after the header is not noticed.
    """
    height, width, orientation = _header(path)
    return (width, height) if exif == "apply" and orientation >= 5 else (height, width)


def has_rotation(path: Path) -> bool:
    """Whether the EXIF orientation turns or mirrors the stored pixel grid; from the header alone.

    Raises:
        ImageError: as for `image_size`.
    """
    return _header(path)[2] != 1


def read_mask(path: Path) -> np.ndarray:
    """Read a ground-truth label image: the stored indices of a palette or grey PNG, never its colours.

    Returns:
        (H, W) uint8 label values as stored; 1-, 2- and 4-bit greys count from 0 in steps of 1.

    Raises:
        DataError: the file is not a PNG, holds colours instead of label values, or values over 255.
        ImageError: it is missing, truncated or damaged.
    """
    with _refusing(path):
        data = _read(path)
        if not data.startswith(PNG_SIGNATURE):
            raise DataError(
                f"{path}: expected a PNG label image (palette or grey), got a file of another format."
            )
        image = _open_whole(data)
        values = np.array(image)
        if image.mode not in {"P", "L", "1"} and not _is_16_bit(image):
            raise DataError(
                f"{path}: expected label values (a palette or grey PNG), got colours (mode {image.mode}). "
                f"Convert the mask to one value per class."
            )
        if image.mode == "L":
            bits = data[24]  # Pillow stretches greys of 2 and 4 bits to [0, 255]
            values = values // (255 // (2**bits - 1)) if bits < 8 else values
        if values.max() > 255:
            raise DataError(f"{path}: expected label values from 0 to 255, got {values.max()} (16-bit PNG).")
        return values.astype(np.uint8)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError that names the file."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.strerror:
            raise ImageError(f"{path}: cannot be read: {error.strerror}.") from error
        reason = str(error).rstrip(".") or type(error).__name__
        raise ImageError(f"{path}: cannot be decoded: {reason}. Replace the file or take it out.") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file, and nothing else: pipes and devices can block or have side effects."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise ImageError(f"{path}: is {kind}; expected an image file.")
    # Without blocking, in case the path has become a pipe since.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            raise ImageError(f"{path}: is empty.")
        if size > MAX_BYTES:
            raise ImageError(f"{path}: has {size:,} bytes; at most {MAX_BYTES:,} are read.")
        yield stream


def _read(path: Path) -> bytes:
    with _opened(path) as stream:
        return stream.read()


def _header(path: Path) -> tuple[int, int, int]:
    """(height, width, orientation) as stored."""
    with _refusing(path), _opened(path) as stream:
        if stream.read(len(JPEG_SIGNATURE)) == JPEG_SIGNATURE:
            header = jpeg_header(stream)
            height, width, orientation = header.height, header.width, header.orientation
        else:
            height, width, orientation = _stored(_open(stream))
        _require_size(height, width)
        return height, width, orientation


def _require_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"its header claims {width}×{height} pixels")
    if height * width > MAX_PIXELS:
        raise ValueError(f"its header claims {width}×{height} pixels, at most {MAX_PIXELS:,} are read")


def _decode_jpeg(data: bytes, components: int) -> np.ndarray:
    pixels: np.ndarray = simplejpeg.decode_jpeg(data, "CMYK" if components == 4 else "RGB")
    if components != 4:
        return pixels
    inks = 255 - pixels
    image = Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())
    return np.array(image.convert("RGB"))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide Pillow's warnings about odd metadata and large images.

    Warning filters are shared by all threads, hence the lock.
    """
    with _silence, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(stream: IO[bytes]) -> Image.Image:
    """Read the header of anything but a JPEG."""
    stream.seek(0)
    start = stream.read(16)
    stream.seek(0)
    try:
        with _without_warnings():
            return Image.open(stream, formats=_FORMATS)
    except UnidentifiedImageError:
        raise ValueError(
            f"expected JPEG, PNG, WebP, GIF, TIFF, BMP or PPM, got a file that begins with {start!r}"
        ) from None


def _open_whole(data: bytes) -> Image.Image:
    """Read the header of anything but a JPEG, and check that the file is complete and not too large."""
    image = _open(io.BytesIO(data))
    height, width, _ = _stored(image)
    _require_size(height, width)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _require_whole_tiff(image, len(data))
    require_whole(data, str(image.format))
    return image


def _require_whole_tiff(image: TiffImagePlugin.TiffImageFile, size: int) -> None:
    """Check that no strip or tile ends after the file; some decoders fill in what is missing."""
    tags = image.tag_v2
    for offsets, counts in (
        (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS),
        (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS),
    ):
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if offset + count > size:
                raise ValueError("it is cut off")


def _stored(image: Image.Image) -> tuple[int, int, int]:
    """(height, width, orientation) of the pixel grid as stored; `image` is not decoded yet."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its `size` is that of the upright image
        orientation = image.tag_v2.get(ExifTags.Base.Orientation, 1)
        height, width = image.tag_v2[TiffImagePlugin.IMAGELENGTH], image.tag_v2[TiffImagePlugin.IMAGEWIDTH]
        return height, width, orientation if orientation in range(1, 9) else 1
    return image.height, image.width, exif_orientation(image.info.get("exif", b""))


def _decode(image: Image.Image, orientation: int) -> np.ndarray:
    """(H, W, 3) uint8 pixels as stored."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return _to_rgb(image)
    with _without_warnings():
        image.load()
    # Pillow has turned it upright.
    return _upright(_to_rgb(image), _INVERSE.get(orientation, orientation))


def _to_rgb(image: Image.Image) -> np.ndarray:
    if _is_16_bit(image):
        return _sixteen_bit_to_rgb(image)
    if image.mode in {"I", "F"}:
        raise ValueError(
            "it holds 32-bit, signed or float values of unknown range; save it with 8 or 16 bits"
        )
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    rgba = image.convert("RGBA")
    ground = Image.new("RGB", rgba.size, GROUND)
    ground.paste(rgba, mask=rgba.getchannel("A"))
    return np.array(ground)


def _is_16_bit(image: Image.Image) -> bool:
    # Pillow's mode I has 32 bits, but PNG and PGM files fill 16 of them.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"})


def _sixteen_bit_to_rgb(image: Image.Image) -> np.ndarray:
    values = np.array(image).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is 0
            grey = 255 - grey
    elif "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return np.repeat(grey[:, :, None], 3, axis=2)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror an (H, W, 3) array from EXIF orientation `orientation` to 1."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
