"""Pixels of PNG, WebP, GIF, BMP, PPM, AVIF, HEIC and plain TIFF, of which Pillow must not drop low bytes."""

from __future__ import annotations

import functools
import io
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from swtformer.datasets.pixels.opened_files import UnclearPixels, refuse_other_format, require_size
from swtformer.datasets.pixels.stored_pixels import StoredPixels
from swtformer.errors import ImageError

FORMATS = ("PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF")

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_OTHER_BYTE = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_START_BYTES = 512

_silence = threading.Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hide Pillow's warnings about odd metadata and large images.

    Warning filters are shared by all threads, hence the lock.
    """
    with _silence, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_image(path: Path, stream: IO[bytes]) -> ImageFile.ImageFile:
    """Read the header of anything but a JPEG.

    Raises:
        ImageError: no decoder takes the file, or it needs the extra `heif`.
    """
    stream.seek(0)
    start = stream.read(_START_BYTES)
    stream.seek(0)
    is_heic = start[4:8] == b"ftyp" and (start[8:12] in _HEIC_BRANDS[:6] or b"hei" in start[8:48])
    try:
        with without_warnings():
            image = Image.open(stream, formats=("HEIF",) if is_heic and _reads_heic() else FORMATS)
    except (UnidentifiedImageError, KeyError):
        if is_heic and not _reads_heic():
            raise ImageError(
                f"{path}: is HEIC, which needs the extra `heif`: pip install 'swtformer[heif]'."
            ) from None
        if is_heic:
            raise ValueError("it is damaged HEIC") from None
        refuse_other_format(path, start)
        raise
    if image.mode == "P" and image.palette is None:
        raise ValueError("it has no palette")
    return image


@functools.cache
def _reads_heic() -> bool:
    """Whether Pillow reads HEIC, which pillow-heif (extra `heif`) teaches it."""
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        return False
    register_heif_opener(thumbnails=False)
    return True


def seek_page(image: Image.Image, number: int | None) -> None:
    """Go to a frame, counted from 1; None is the first.

    Raises:
        ValueError: there is no such frame.
    """
    if number is None or number == 1:
        return
    frames = getattr(image, "n_frames", 1)
    if number > frames:
        counted = "1 page" if frames == 1 else f"{frames} pages"
        raise UnclearPixels(f"has {counted}, but data.page asks for page {number}")
    image.seek(number - 1)


def stored_pixels(data: bytes, image: ImageFile.ImageFile) -> StoredPixels:
    """The values of an opened image, all 16 bits where it has them.

    Args:
        data: the whole file.
        image: opened from it, at the frame to read.

    Raises:
        ValueError: the image is too large, or of 32-bit or float values.
    """
    require_size(image.height, image.width)
    if is_16_bit(image) and image.mode.startswith("I"):
        values = np.array(image).astype(np.uint16)[:, :, None]
        return _sixteen_bits(values, 1, image.info.get("transparency"))
    if is_16_bit(image):
        with without_warnings():
            again = Image.open(io.BytesIO(data), formats=(str(image.format),))
        values = both_bytes(image, again)
        return _sixteen_bits(values, 1 if values.shape[2] == 2 else 3, image.info.get("transparency"))
    if image.mode in {"I", "F"}:
        raise UnclearPixels(
            f"holds 1 band of {'int32' if image.mode == 'I' else 'float32'} in an uncommon format"
        )
    if image.has_transparency_data:
        pixels = np.array(image.convert("RGBA"))
        return StoredPixels(pixels, (0, 255), 3, "4 bands of uint8 (RGBA)", pixels[:, :, 3] / np.float32(255))
    if image.mode in {"L", "1"}:
        return of_bytes(np.array(image.convert("L"))[:, :, None])
    return of_bytes(np.array(image.convert("RGB")))


def is_16_bit(image: ImageFile.ImageFile) -> bool:
    """Whether an image that is not decoded yet holds 16-bit values, which Pillow says for greys alone."""
    if image.mode.startswith("I"):  # mode I has 32 bits, but PNG and PGM files fill 16 of them
        return image.mode.startswith("I;16") or image.format in {"PNG", "PPM"}
    return image.format == "PNG" and any(";16" in str(part.args) for part in image.tile)


def band_count(image: ImageFile.ImageFile) -> int:
    """Bands as the file stores them; Pillow opens grey with alpha of 16 bits as four."""
    return 2 if any(part.args == "LA;16B" for part in image.tile) else len(image.getbands())


def of_bytes(values: np.ndarray) -> StoredPixels:
    """An opaque picture of 8 bits, (H, W, 1) grey or (H, W, 3) RGB."""
    bands = values.shape[2]
    return StoredPixels(
        values, (0, 255), bands, "1 band of uint8 (grey)" if bands == 1 else "3 bands of uint8 (RGB)"
    )


def _sixteen_bits(values: np.ndarray, colours: int, transparent: Any) -> StoredPixels:
    """16-bit values, with an alpha band behind the colours or one colour that is transparent."""
    bands = values.shape[2]
    alpha = None
    if bands > colours:
        alpha = values[:, :, colours] / np.float32(65535)
    elif transparent is not None:
        alpha = (values != np.array(transparent)).any(axis=2).astype(np.float32)
    about = f"{bands} band{'s' if bands > 1 else ''} of uint16 ({'grey' if colours == 1 else 'RGB'})"
    return StoredPixels(values, (0, 65535), colours, about, alpha)


def both_bytes(image: ImageFile.ImageFile, again: ImageFile.ImageFile) -> np.ndarray:
    """(H, W, B) uint16 colours. Pillow keeps their high bytes alone; it is told to keep the low ones next.

    Args:
        image: of 16-bit colours, not decoded yet.
        again: the same image, opened a second time.
    """
    if again.tile[0].args == "LA;16B":  # Pillow has no LA;16L; as RGBA its two bands come out byte by byte
        again.tile = [part._replace(args="RGBA") for part in again.tile]
        pairs: np.ndarray = np.array(again).astype(np.uint16)
        both: np.ndarray = pairs[:, :, 0::2] * 256 + pairs[:, :, 1::2]
        return both
    again.tile = [part._replace(args=_low_byte(part.args)) for part in again.tile]
    values: np.ndarray = np.array(image).astype(np.uint16) * 256 + np.array(again)
    return values


def _low_byte(arguments: Any) -> Any:
    mode, *rest = (arguments,) if isinstance(arguments, str) else arguments
    colours, _, order = mode.rpartition(";16")
    if order not in _OTHER_BYTE:
        raise UnclearPixels(f"is stored as {mode}, which is not read")
    swapped = f"{colours.upper()};16{_OTHER_BYTE[order]}"
    return swapped if isinstance(arguments, str) else (swapped, *rest)
