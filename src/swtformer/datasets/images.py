"""Reads image files, which may be damaged, hostile or odd: the result is a whole image or an ImageError.

The content of a file decides its format, never its name. JPEGs are decoded by libjpeg-turbo through
simplejpeg, with libjpeg's warnings as errors: Pillow hides them and fills what is missing with grey. TIFFs
are read by `tiff_pixels`, everything else by Pillow. What becomes of bands, of more than 8 bits and of
transparency, is in `stored_pixels`.

Truncated files are always refused. So is any flipped bit of a PNG, which has checksums; one that was written
with fewer rows than its header says is refused where the reading is `thorough`. JPEG, WebP, GIF,
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import simplejpeg
from PIL import Image

from swtformer.datasets.containers import (
    JPEG_SIGNATURE,
    exif_orientation,
    jpeg_header,
    require_all_rows,
    require_whole,
)
from swtformer.datasets.jpeg_damage import require_possible_brightness
from swtformer.datasets.pixels import jpeg_2000, tiff_pixels
from swtformer.datasets.pixels.opened_files import opened, read_file, refusing, require_size
from swtformer.datasets.pixels.orientation import upright
from swtformer.datasets.pixels.pillow_images import (
    band_count,
    is_16_bit,
    of_bytes,
    open_image,
    seek_page,
    stored_pixels,
)
from swtformer.datasets.pixels.stored_pixels import StoredPixels
from swtformer.datasets.pixels.tiff_directories import SIGNATURES, pages, read_directories
from swtformer.errors import ImageError
from swtformer.settings import ImageSettings

AS_STORED = ImageSettings()
"""The default settings."""


@dataclass(frozen=True)
class ImageHeader:
    """What a file says before its pixels.

    Attributes:
        height, width: of the stored pixel grid, in pixels.
        orientation: EXIF orientation, 1 to 8.
        bits: bits per value.
        kind: type of the values: "uint", "int" or "float".
        bands: bands of the file.
        pages: pages or frames, without smaller versions of one another.
        pages_are_equal: whether all pages have the size and the type of the first.
    """

    height: int
    width: int
    orientation: int
    bits: int = 8
    kind: str = "uint"
    bands: int = 3
    pages: int = 1
    pages_are_equal: bool = True

    @property
    def is_deep(self) -> bool:
        """Whether its values must be scaled to bytes."""
        return self.bits > 8 or self.kind != "uint"


def read_image(path: Path, settings: ImageSettings = AS_STORED, *, thorough: bool = False) -> np.ndarray:
    """Decode an image file.

    Grey is replicated. CMYK is converted without a profile; JPEGs hold it inverted, as Adobe does. Alpha,
    also that of palettes, is composited on `GROUND`.

    Args:
        path: JPEG, PNG, TIFF, WebP, GIF, BMP, PPM, JPEG 2000, AVIF or HEIC file of any name.
        settings: orientation, range of values, bands and page; a `DataSettings` will do. The defaults take
            full 16-bit values, and refuse others than 8 bits whose range is not said.
        thorough: also look for damage that libjpeg decodes without a warning, and for missing rows of a PNG.
            Set it where an image is read once, to check it or to make a result of it.

    Returns:
        (H, W, C) uint8, writable and contiguous; C is 3, RGB, unless the settings choose other numbers of
        bands.

    Raises:
        ImageError: the file is missing, not a regular file, not an image, truncated, damaged, over
            `MAX_PIXELS`, a JPEG of uncommon chroma subsampling, or holds bands or values that the settings
            do not say how to see.
    """
    with refusing(path):
        stored, orientation = _stored(path, settings.page, thorough=thorough)
        pixels = stored.photograph(settings)
        return upright(pixels, orientation) if settings.exif == "apply" else pixels


def read_stored(path: Path, page: int | None = None) -> StoredPixels:
    """The values of an image as the file stores them.

    Raises:
        ImageError: as for `read_image`, but for what is to be seen of them.
    """
    with refusing(path):
        return _stored(path, page, thorough=False)[0]


def _stored(path: Path, page: int | None, *, thorough: bool) -> tuple[StoredPixels, int]:
    """Pixels as stored, and their orientation."""
    data = read_file(path)
    if data.startswith(JPEG_SIGNATURE):
        header = jpeg_header(io.BytesIO(data))
        require_size(header.height, header.width)
        pixels = _decode_jpeg(data, header.components)
        if thorough and header.components != 4:
            require_possible_brightness(data)
        return of_bytes(pixels), header.orientation
    if data.startswith(SIGNATURES):
        directory, place = tiff_pixels.page_of(data, page)
        return tiff_pixels.decode(data, directory, place), directory.orientation
    if data.startswith(jpeg_2000.SIGNATURES):
        require_whole(data, "JPEG2000")
        require_size(*jpeg_2000.read_header(data)[:2])
        return jpeg_2000.decode(data), 1
    image = open_image(path, io.BytesIO(data))
    require_size(image.height, image.width)
    require_whole(data, str(image.format))
    if thorough and image.format == "PNG":
        require_all_rows(data)
    orientation = exif_orientation(image.info.get("exif") or b"")
    seek_page(image, page)
    return stored_pixels(data, image), orientation


def _decode_jpeg(data: bytes, components: int) -> np.ndarray:
    """(H, W, 1) grey or (H, W, 3) RGB."""
    colours = {1: "GRAY", 4: "CMYK"}.get(components, "RGB")
    pixels: np.ndarray = simplejpeg.decode_jpeg(data, colours)
    if components != 4:
        return pixels
    inks = 255 - pixels
    image = Image.frombytes("CMYK", (inks.shape[1], inks.shape[0]), inks.tobytes())
    return np.array(image.convert("RGB"))


def check_readable(path: Path, settings: ImageSettings = AS_STORED) -> str | None:
    """The reason why a thorough `read_image` refuses a file, or None."""
    try:
        read_image(path, settings, thorough=True)
    except ImageError as error:
        return str(error)
    return None


def image_header(path: Path, page: int | None = None) -> ImageHeader:
    """What a file says before its pixels.

    Args:
        path: the file.
        page: the page of a TIFF file whose size is asked for, counted from 1; None for the first.

    Raises:
        ImageError: the file is missing, not a regular file, or not an image. Damage after the header is not
            noticed, and no size is refused.
    """
    with refusing(path), opened(path, max_bytes=None) as stream:
        return _header(path, stream, page or 1)


def _header(path: Path, stream: IO[bytes], page: int) -> ImageHeader:
    start = stream.read(12)
    if start.startswith(JPEG_SIGNATURE):
        jpeg = jpeg_header(stream)
        return ImageHeader(jpeg.height, jpeg.width, jpeg.orientation, bands=jpeg.components)
    if start.startswith(SIGNATURES):
        return _tiff_header(stream, page)
    if start.startswith(jpeg_2000.SIGNATURES):
        height, width, bits, bands = jpeg_2000.read_header(start + stream.read(jpeg_2000.HEADER_BYTES))
        return ImageHeader(height, width, 1, bits=bits, bands=bands)
    image = open_image(path, stream)
    return ImageHeader(
        image.height,
        image.width,
        exif_orientation(image.info.get("exif") or b""),
        bits=16 if is_16_bit(image) else 8,
        bands=band_count(image),
        pages=2 if getattr(image, "is_animated", False) else 1,
    )


def _tiff_header(stream: IO[bytes], number: int) -> ImageHeader:
    found = pages(read_directories(stream))
    first = found[min(number, len(found)) - 1]
    height, width = first.size
    return ImageHeader(
        height,
        width,
        first.orientation,
        bits=first.bits,
        kind=first.kind,
        bands=first.bands,
        pages=max(len(found), first.planes),
        pages_are_equal=all((page.size, str(page)) == (first.size, str(first)) for page in found),
    )


def image_size(path: Path, settings: ImageSettings = AS_STORED) -> tuple[int, int]:
    """(height, width) that `read_image` would give, from the header alone.

    Raises:
        ImageError: as for `image_header`, or it is over `MAX_PIXELS`.
    """
    header = image_header(path, settings.page)
    with refusing(path):
        require_size(header.height, header.width)
    turned = settings.exif == "apply" and header.orientation >= 5
    return (header.width, header.height) if turned else (header.height, header.width)


def has_rotation(path: Path) -> bool:
    """Whether the EXIF orientation turns or mirrors the stored pixel grid; from the header alone.

    Raises:
        ImageError: as for `image_header`.
    """
    return image_header(path).orientation != 1
