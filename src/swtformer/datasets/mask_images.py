"""Reads label images: the value of every pixel, or its colour where a palette says what colours mean."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from swtformer.datasets.containers import JPEG_SIGNATURE, require_all_rows, require_whole
from swtformer.datasets.mask_colours import VOC, MaskColours
from swtformer.datasets.pixels import jpeg_2000, tiff_pixels
from swtformer.datasets.pixels.opened_files import read_file, refusing, require_size
from swtformer.datasets.pixels.pillow_images import open_image
from swtformer.datasets.pixels.tiff_directories import SIGNATURES
from swtformer.errors import DataError

_LOSSY_TIFF = {
    6: "JPEG",
    7: "JPEG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    50001: "WebP",
}
_LOSSY = {"AVIF": "AVIF", "HEIF": "HEIC"}


def read_mask(path: Path, colours: MaskColours | None = None) -> np.ndarray:
    """Read a label image.

    Of palette images (but GIF) the indices count, of greys the values; 1-, 2- and 4-bit greys count from 0
    in steps of 1. Colours are looked up in `colours`, or in the palette of PASCAL VOC where all of them are
    VOC's; greys of GIF and WebP, which have no others, are values. Where `colours` is given, it holds for
    palette images too.
    Fully transparent pixels are background.

    Args:
        path: PNG, TIFF, BMP, GIF, PPM or lossless WebP file.
        colours: what colours mean.

    Returns:
        (H, W) uint8 label values as stored.

    Raises:
        DataError: the format changes values, the colours are unknown, or values are no whole numbers from 0
            to 255.
        ImageError: the file is missing, truncated or damaged.
    """
    return read_mask_and_colours(path, colours)[0]


def read_mask_and_colours(path: Path, colours: MaskColours | None = None) -> tuple[np.ndarray, bool]:
    """The same, and whether the labels were looked up in the palette of PASCAL VOC."""
    with refusing(path):
        values = _values(path, read_file(path), by_colour=colours is not None)
        if values.ndim == 3:
            return _by_colour(path, values, colours), colours is None and values.shape[2] > 2
        return (values if values.dtype == np.uint8 else _whole(path, values)), False


def _values(path: Path, data: bytes, *, by_colour: bool) -> np.ndarray:
    """(H, W) label values of any type, or (H, W, 3 or 4) uint8 colours."""
    if data.startswith(JPEG_SIGNATURE):
        _refuse_lossy(path, "JPEG")
    if data.startswith(jpeg_2000.SIGNATURES):
        _refuse_lossy(path, "JPEG 2000")
    if data.startswith(SIGNATURES):
        page, place = tiff_pixels.page_of(data, None)
        if page.compression in _LOSSY_TIFF:
            _refuse_lossy(path, f"TIFF with lossy compression ({_LOSSY_TIFF[page.compression]})")
        if page.photometric != 3:
            values = tiff_pixels.decode(data, page, place).values
            return values[:, :, 0] if values.shape[2] == 1 else values[:, :, :4]
        image = tiff_pixels.palette_image(data, place)
    else:
        image = open_image(path, io.BytesIO(data))
        require_size(image.height, image.width)
        if image.format in _LOSSY:
            _refuse_lossy(path, _LOSSY[str(image.format)])
        if image.format == "WEBP" and b"VP8L" not in _chunks(data):
            _refuse_lossy(path, "lossy WebP")
        require_whole(data, str(image.format))
        if image.format == "PNG":
            require_all_rows(data)
    if image.format in ("GIF", "WEBP"):
        # Writers of GIF renumber palettes, so only colours can be trusted; WebP has no greys.
        pixels = np.array(image.convert("RGBA"))
        return pixels[:, :, [0, 3]] if _is_grey(pixels) else pixels
    if image.mode == "P" and by_colour:
        return np.array(image.convert("RGB"))
    if image.mode == "LA":
        return np.array(image)
    if image.mode == "L" and image.format == "PNG":
        bits = data[24]  # Pillow stretches greys of 2 and 4 bits to [0, 255]
        values = np.array(image)
        return values // (255 // (2**bits - 1)) if bits < 8 else values
    if image.mode in {"P", "L", "1"}:
        return np.array(image).astype(np.uint8)
    if image.mode.startswith("I"):
        return np.array(image)
    return np.array(image.convert("RGBA"))


def _chunks(data: bytes) -> list[bytes]:
    """Names of the chunks of a WebP file."""
    names, position = [], 12
    while position + 8 <= len(data):
        names.append(data[position : position + 4])
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return names


def _refuse_lossy(path: Path, format: str) -> None:
    raise DataError(
        f"{path}: is {format}, which changes values and colours along edges, so its labels are lost. Save "
        "the mask as PNG from its source."
    )


def _whole(path: Path, values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255 and (values == np.floor(values)).all()):
        found = f"{low:g} to {high:g}" if low != high else f"{low:g}"
        whole = "" if (values == np.floor(values)).all() else ", not all of them whole"
        raise DataError(f"{path}: expected label values from 0 to 255, got {found}{whole} ({values.dtype}).")
    return values.astype(np.uint8)


def _is_grey(colours: np.ndarray) -> bool:
    return bool((colours[:, :, :1] == colours[:, :, 1:3]).all())


def _by_colour(path: Path, pixels: np.ndarray, colours: MaskColours | None) -> np.ndarray:
    """Label values of (H, W, 3 or 4) uint8 colours, or of (H, W, 2) greys with alpha."""
    if pixels.dtype != np.uint8 or pixels.shape[2] > 4:
        raise DataError(
            f"{path}: expected label values or 8-bit colours, got {pixels.shape[2]} bands of {pixels.dtype}."
        )
    hidden = np.zeros(pixels.shape[:2], bool)
    if pixels.shape[2] in (2, 4):
        alpha = pixels[:, :, -1]
        if not np.isin(alpha, (0, 255)).all():
            raise DataError(
                f"{path}: holds half-transparent pixels, which have no label. Save it without alpha."
            )
        hidden = alpha == 0
    if pixels.shape[2] == 2 and colours is None:
        return np.where(hidden, 0, pixels[:, :, 0]).astype(np.uint8)
    known = colours or VOC
    rgb = pixels[:, :, [0, 0, 0]] if pixels.shape[2] == 2 else pixels[:, :, :3]
    labels, strays = known.labels(np.where(hidden[:, :, None], known.known, rgb))
    if strays:
        shown = ", ".join(strays)
        if colours is None:
            raise DataError(
                f"{path}: expected label values (a palette or grey image), got RGB colours such as {shown}, "
                "which are not VOC's. Say what they mean with data.palette, or save one value per class."
            )
        raise DataError(f"{path}: holds colours that {colours.source} does not list: {shown}.")
    labels[hidden] = 0
    return labels
