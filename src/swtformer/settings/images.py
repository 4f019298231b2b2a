"""How image files become pixels: the settings that a data set, a run and a saved model share."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from swtformer.settings.base import Section
from swtformer.settings.numbers import Count

Range = Literal["auto", "full", "percentiles"] | tuple[float, ...]
"""A word, or LOW and HIGH once for all bands or once for each."""

WORDS = ("auto", "full", "percentiles")
UNDECIDED = frozenset({"auto", "percentiles"})
"""Ranges that must be decided from the images."""


def one_range(value: Any) -> Any:
    """A word or an even number of finite numbers, each LOW below its HIGH."""
    parts = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(parts) == 1 and parts[0] in WORDS:
        return parts[0]
    try:
        ends = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        ends = ()
    pairs = list(zip(ends[::2], ends[1::2], strict=False))
    if len(ends) < 2 or len(ends) % 2 or not all(math.isfinite(low) and low < high for low, high in pairs):
        raise PydanticCustomError(
            "range", "expected auto, full, percentiles, or LOW,HIGH with LOW below HIGH", {}
        )
    return ends


def channels(settings: ImageSettings) -> int:
    """Channels of the pixels that are read: 3 but where other numbers of bands are chosen."""
    return 3 if settings.bands is None or len(settings.bands) == 1 else len(settings.bands)


def different_bands(bands: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse bands that are named twice, or none."""
    if not bands or len(set(bands)) < len(bands):
        raise PydanticCustomError("bands", "expected different bands, counted from 1, such as 4,3,2", {})
    return bands


class ImageSettings(Section):
    """How image files become pixels."""

    def images_alone(self) -> ImageSettings:
        """These settings without those that a subclass adds; what a model keeps."""
        return ImageSettings(**{name: getattr(self, name) for name in ImageSettings.model_fields})

    def in_words(self) -> str:
        """What a file's values become, for whoever feeds a model with other programs; empty for plain RGB."""
        parts = []
        if self.bands is not None:
            named = ", ".join(map(str, self.bands))
            parts.append(f"bands {named} of the file, counted from 1, in this order")
        if isinstance(self.range, tuple):
            pairs = [
                f"{low:g} to {high:g}" for low, high in zip(self.range[::2], self.range[1::2], strict=True)
            ]
            each = " of each band in turn" if len(pairs) > 1 else ""
            parts.append(f"values of more than 8 bits: {'; '.join(pairs)}{each} become 0 to 1, clipped")
        elif self.range == "full":
            parts.append("values of more than 8 bits: all that the type can hold becomes 0 to 1")
        return "; ".join(parts)

    exif: Literal["raw", "apply"] = "raw"
    """EXIF orientation: raw keeps the stored pixel grid, as VOC-like masks do; apply turns images upright."""
    range: Annotated[Range, BeforeValidator(one_range)] = "auto"
    """Values that become black and white in images of more than 8 bits: auto decides once for the data set
    from a sample of its files and says so; full takes all that the type can hold; percentiles takes the 1st
    and the 99th; LOW,HIGH are your own, once for all bands or once for each. 8-bit images stay as they
    are."""
    bands: Annotated[tuple[Count, ...], AfterValidator(different_bands)] | None = None
    """Bands to read, counted from 1 as GDAL and rasterio do: three for red, green and blue, one for grey, or
    any number, for which the backbone gets as many input channels. By default red, green and blue as the
    file names them."""
    page: Count | None = None
    """Page or frame to read of files with several, counted from 1; by default the first, with a warning."""
