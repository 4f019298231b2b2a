"""Pixels of a page of a TIFF file: through Pillow where it reads them exactly, else through tifffile.

tifffile and imagecodecs are the extra `tiff`. They take what Pillow does not: several bands, signed and float
colours, packed bits, and all compressions.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from swtformer.datasets.containers import jpeg_header
from swtformer.datasets.pixels.opened_files import UnclearPixels, require_size
from swtformer.datasets.pixels.orientation import as_stored
from swtformer.datasets.pixels.pillow_images import both_bytes, stored_pixels, without_warnings
from swtformer.datasets.pixels.stored_pixels import StoredPixels, looks_transparent
from swtformer.datasets.pixels.tiff_directories import (
    BLACK_IS_ZERO,
    CMYK,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    STRAIGHT,
    UNSPECIFIED,
    WHITE_IS_ZERO,
    YCBCR,
    Directory,
    pages,
    read_directories,
)

JPEG = 7
"""Number of the compression."""

_PILLOW_COMPRESSIONS = frozenset(TiffImagePlugin.COMPRESSION_INFO)


def page_of(data: bytes, number: int | None) -> tuple[Directory, int]:
    """A page of a TIFF file, complete and not too large, and its place among all directories.

    Args:
        data: the whole file.
        number: of the page, counted from 1; None for the first.

    Raises:
        ValueError: there is no such page, it is cut off or too large.
    """
    directories = read_directories(io.BytesIO(data))
    found = pages(directories)
    if number is not None and number > len(found):
        counted = "1 page" if len(found) == 1 else f"{len(found)} pages"
        raise UnclearPixels(f"has {counted}, but data.page asks for page {number}")
    page = found[(number or 1) - 1]
    require_size(*page.size)
    if any(offset + count > len(data) for offset, count in page.segments):
        raise ValueError("it is cut off")
    if page.compression == JPEG:
        _require_jpeg_rows(data, page)
    return page, next(place for place, each in enumerate(directories) if each is page)


def _require_jpeg_rows(data: bytes, page: Directory) -> None:
    """Refuse JPEG strips and tiles of fewer rows than they stand for, which libtiff leaves black."""
    height, rows = page.size[0], page.segment_rows
    of_plane = -(-height // rows)
    for number, (offset, count) in enumerate(page.segments):
        wanted = rows if page.is_tiled else min(rows, height - number % of_plane * rows)
        if count and jpeg_header(io.BytesIO(data[offset : offset + count])).height < wanted:
            raise ValueError("rows of its strips or tiles are missing")


def _is_plain(page: Directory) -> bool:
    """Whether Pillow reads a page as it should be seen: 8 bits, no bands beyond a picture and its alpha."""
    if page.kind != "uint" or page.bits > 8 or page.compression not in _PILLOW_COMPRESSIONS:
        return False
    if page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE):
        return page.bands == 1
    return page.bands == {RGB: 3, CMYK: 4, YCBCR: 3}.get(page.photometric) and not page.extra


def decode(data: bytes, page: Directory, place: int) -> StoredPixels:
    """The values of a page; transparency is told from a band that only bears its tag.

    Args:
        data: the whole file.
        page: the page.
        place: of the page among all directories of the file.

    Raises:
        ValueError: the page is of a kind that cannot be read, or needs the extra `tiff`.
    """
    if _is_plain(page):
        image = _page(data, place)
        with without_warnings():
            image.load()
        plain = stored_pixels(data, image)
        return replace(plain, values=_checked(as_stored(plain.values, page.orientation), page))
    if page.kind not in ("uint", "int", "float") or page.photometric not in (
        WHITE_IS_ZERO,
        BLACK_IS_ZERO,
        RGB,
        PALETTE,
        YCBCR,
    ):
        raise UnclearPixels(f"holds {page}, which is not read; save it as grey or RGB")
    values = _through_pillow(data, page, place)
    if values is None:
        values = _through_tifffile(data, page, place)
    return seen_as(_checked(values, page), page)


def _checked(values: np.ndarray, page: Directory) -> np.ndarray:
    """Refuse pixels that are not what the tags say, as in damaged files."""
    if values.ndim != 3 or values.shape[:2] != page.size:
        raise ValueError("its tags contradict its pixels")
    return values


def seen_as(values: np.ndarray, page: Directory, *, is_transparent: bool | None = None) -> StoredPixels:
    """What (H, W, B) values of a page mean: which are a picture, and which its transparency.

    Args:
        values: of the whole page, or of a part of it.
        page: the page.
        is_transparent: whether a band that is tagged alpha is transparency; None to judge by its values here.
    """
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    full = full_range(values.dtype, page.bits)
    if page.photometric == WHITE_IS_ZERO:
        values = (full[0] + full[1] - values).astype(values.dtype)
    if page.extra in ((PREMULTIPLIED,), (STRAIGHT,)):
        colours = values.shape[2] - 1
        band = values[:, :, colours]
        if is_transparent or (is_transparent is None and looks_transparent(band, full)):
            alpha = _opacity(band, full)
            if page.extra[0] == PREMULTIPLIED:
                values = _straight(values, alpha, full)
            return StoredPixels(values, full, colours, str(page), alpha, page.nodata)
    elif page.photometric in (RGB, PALETTE, YCBCR):
        colours = 3
    else:
        colours = values.shape[2] if values.shape[2] in (1, 3) else 0
    return StoredPixels(values, full, colours, str(page), None, page.nodata)


def _opacity(band: np.ndarray, full: tuple[float, float]) -> np.ndarray:
    """(H, W) opacity in [0, 1]."""
    opacity: np.ndarray = (band.astype(np.float32) - full[0]) / np.float32(full[1] - full[0])
    return opacity


def full_range(kind: np.dtype[Any], bits: int) -> tuple[float, float]:
    """Values that stand for black and white where a type is used as a whole; 0 and 1 for floats."""
    if kind.kind == "f":
        return 0, 1
    if kind.kind == "u":
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _straight(values: np.ndarray, alpha: np.ndarray, full: tuple[float, float]) -> np.ndarray:
    """Colours that were multiplied by their opacity, divided by it."""
    divided = values / np.maximum(alpha, 1e-6)[:, :, None]
    straight: np.ndarray = np.clip(np.rint(divided), *full).astype(values.dtype)
    return straight


def _through_pillow(data: bytes, page: Directory, place: int) -> np.ndarray | None:
    """(H, W, B) values, where Pillow gives them all without loss; else None."""
    if page.compression not in _PILLOW_COMPRESSIONS or (page.photometric == YCBCR and page.bands > 3):
        return None
    is_grey = page.bands == 1 and page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    is_colour = page.photometric == RGB and page.bands in (3, 4) and page.kind == "uint" and page.is_by_pixel
    if is_grey and (page.kind, page.bits) in {("uint", 16), ("int", 32), ("float", 32)}:
        return as_stored(np.array(_page(data, place))[:, :, None], page.orientation)
    if is_colour and page.bits in (8, 16) and page.extra[:1] != (UNSPECIFIED,):
        image = _page(data, place)
        if image.mode not in ("RGB", "RGBA") or len(image.getbands()) != page.bands:
            return None
        values = both_bytes(image, _page(data, place)) if page.bits == 16 else np.array(image)
        return as_stored(values, page.orientation)  # Pillow has turned it upright
    return None


def palette_image(data: bytes, place: int) -> ImageFile.ImageFile:
    """A palette page, whose indices Pillow gives."""
    return _page(data, place)


def _page(data: bytes, place: int) -> ImageFile.ImageFile:
    """A directory of the file, not decoded yet."""
    with without_warnings():
        image = Image.open(io.BytesIO(data), formats=("TIFF",))
        image.seek(place)
    # Pillow would divide by alpha, whatever that band holds.
    image.tile = [part._replace(args=_undivided(part.args)) for part in image.tile]
    return image


def _undivided(arguments: Any) -> Any:
    mode, *rest = (arguments,) if isinstance(arguments, str) else arguments
    mode = mode.replace("RGBa", "RGBA")
    return mode if isinstance(arguments, str) else (mode, *rest)


def _through_tifffile(data: bytes, page: Directory, place: int) -> np.ndarray:
    try:
        import tifffile
    except ModuleNotFoundError:
        raise UnclearPixels(
            f"holds {page}, which needs the extra `tiff`: pip install 'swtformer[tiff]'"
        ) from None
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found: Any = file.pages[place]
        try:
            values: np.ndarray = found.asarray(maxworkers=1)
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            raise UnclearPixels(
                f"has a compression ({found.compression.name}) that needs the extra `tiff`: "
                "pip install 'swtformer[tiff]'"
            ) from None
        axes = found.axes
    if axes not in ("YX", "YXS", "SYX"):
        raise UnclearPixels(f"holds {page} along the axes {axes}; expected height, width and bands")
    values = values[:, :, None] if axes == "YX" else np.moveaxis(values, 0, 2) if axes == "SYX" else values
    if page.photometric == PALETTE:
        colours: np.ndarray = found.colormap[:, values[:, :, 0]].transpose(1, 2, 0)
        return colours
    return values
