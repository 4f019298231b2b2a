"""Pixels as a file stores them, in any number of bands and of any type, and what a network sees of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from swtformer.datasets.pixels.opened_files import UnclearPixels
from swtformer.settings import ImageSettings

GROUND = (255, 255, 255)
"""RGB colour behind transparent images."""

DARKEST = 2**14
"""A 16-bit image without any value from here on would come out with less than a quarter of white."""

OPAQUE_SHARE = 0.5
"""An alpha band is transparency if this part of the pixels that it does not hide is fully opaque."""


def looks_transparent(band: np.ndarray, full: tuple[float, float]) -> bool:
    """Whether the values of a band that is called alpha can be transparency.

    Near infrared and other bands often are called so, because programs call any fourth band alpha. They take
    all values; transparency is mostly full. A constant band is transparency.
    """
    visible = band[band > full[0]]
    opaque = int(np.count_nonzero(visible == full[1]))
    return opaque >= OPAQUE_SHARE * visible.size or bool((band == band.flat[0]).all())


@dataclass(frozen=True)
class StoredPixels:
    """Pixels before they become bytes.

    Attributes:
        values: (H, W, B) of any integer or float type.
        full: values that stand for black and white where the whole type is used.
        colours: leading bands that are a picture: 1 grey, 3 red, green and blue; 0 where the file names none.
        alpha: (H, W) transparency in [0, 1], not one of the bands; None where the image has none.
        nodata: value of pixels without data.
        about: bands and type in words.
    """

    values: np.ndarray
    full: tuple[float, float]
    colours: int
    about: str
    alpha: np.ndarray | None = None
    nodata: float | None = None

    def chosen(self, bands: tuple[int, ...] | None) -> np.ndarray:
        """(H, W, C) values of the bands that are read.

        Args:
            bands: counted from 1; None for the picture's own.

        Raises:
            UnclearPixels: the file has fewer bands, or does not say which of them are a picture.
        """
        count = self.values.shape[2]
        if bands is None:
            if not self.colours:
                example = "3,2,1" if count >= 3 else "1"
                raise UnclearPixels(
                    f"holds {self.about} and does not say which are red, green and blue; choose with "
                    f"data.bands, such as {example} (counted from 1)"
                )
            return self.values[:, :, : self.colours]
        if max(bands) > count:
            raise UnclearPixels(
                f"holds {self.about}, but data.bands asks for band {max(bands)} (counted from 1)"
            )
        return self.values[:, :, [band - 1 for band in bands]]

    @property
    def bands_beyond(self) -> int:
        """Bands besides the picture and its transparency."""
        return int(self.values.shape[2]) - self.colours - (self.alpha is not None)

    def thinned(self, count: int) -> StoredPixels:
        """Some `count` pixels from all over, in one row, with the lowest and highest of each band.

        Smaller images stay whole.
        """
        flat = self.values.reshape(-1, self.values.shape[2])
        if len(flat) <= count:
            return self
        places = list(range(0, len(flat), len(flat) // count))
        for band in flat.T:
            there = np.flatnonzero(self.has_data(band))
            if there.size:
                places += [there[band[there].argmin()], there[band[there].argmax()]]
        alpha = None if self.alpha is None else self.alpha.reshape(-1)[places][None]
        return replace(self, values=flat[places][None], alpha=alpha)

    def has_data(self, values: np.ndarray) -> np.ndarray:
        """Where values are finite and not `nodata`."""
        there = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        if self.nodata is not None and not np.isnan(self.nodata):
            there &= values != self.nodata
        return there

    def photograph(self, settings: ImageSettings) -> np.ndarray:
        """(H, W, C) uint8: C is 3 for grey, which is replicated, and for colours, else the number of bands.

        Values of 8 bits stay as they are. Others are scaled from the settings' range and clipped; pixels
        without data become black. Transparent pixels show `GROUND`, unless bands are chosen.

        Raises:
            UnclearPixels: the bands or the range do not fit, or there is no range yet.
        """
        values = self.chosen(settings.bands)
        if values.dtype == np.uint8:
            pixels = values
        else:
            pixels = scaled(values, self._ends(values, settings))
            pixels[~self.has_data(values)] = 0
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if self.alpha is not None and settings.bands is None:
            share = self.alpha[:, :, None]
            pixels = np.rint(pixels * share + np.array(GROUND) * (1 - share)).astype(np.uint8)
        return np.ascontiguousarray(pixels)

    def _ends(self, values: np.ndarray, settings: ImageSettings) -> tuple[tuple[float, float], ...]:
        """(low, high) once or per band."""
        if isinstance(settings.range, tuple):
            pairs = tuple(zip(settings.range[::2], settings.range[1::2], strict=True))
            if len(pairs) not in (1, values.shape[2]):
                raise UnclearPixels(
                    f"data.range gives {len(pairs)} pairs of LOW,HIGH for {values.shape[2]} bands"
                )
            return pairs
        if settings.range == "full":
            return (self.full,)
        there = values[self.has_data(values)]
        low, high = (there.min(), there.max()) if there.size else (0, 0)
        is_16_bit = values.dtype == np.uint16 and self.full[1] == 65535
        if is_16_bit and (high == 0 or high >= DARKEST):
            return (self.full,)
        raise UnclearPixels(
            f"holds {self.about} from {low:g} to {high:g}, and no range says what is black and white; "
            f"set data.range, such as {low:g},{high:g}, or full"
        )


def seen_in_colour(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) pixels as people and refiners see them: the first three bands, or the first as grey."""
    if pixels.shape[2] == 3:
        return pixels
    bands = [0, 1, 2] if pixels.shape[2] > 3 else [0, 0, 0]
    return np.ascontiguousarray(pixels[:, :, bands])


def scaled(values: np.ndarray, ends: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Values as bytes: low becomes 0, high 255, what lies beyond is clipped, NaN becomes 0.

    Args:
        values: (H, W, C) of any integer or float type.
        ends: (low, high) once for all bands or once for each.
    """
    if len(ends) > 1:
        parts = [scaled(values[:, :, i : i + 1], (pair,)) for i, pair in enumerate(ends)]
        return np.concatenate(parts, axis=2)
    low, high = ends[0]
    if values.dtype == np.uint16:
        table = _bytes(np.arange(65536), low, high)
        found: np.ndarray = table[values]
        return found
    return _bytes(values, low, high)


def _bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    is_small = values.dtype == np.float32 or values.dtype.itemsize < 4
    numbers: np.ndarray = values.astype(np.float32 if is_small else np.float64)
    numbers -= low
    numbers *= 255 / (high - low)
    made: np.ndarray = np.nan_to_num(np.clip(np.rint(numbers), 0, 255), nan=0).astype(np.uint8)
    return made
