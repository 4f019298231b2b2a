"""Decides once for a data set which values of its images of more than 8 bits are black and white.

Decided for each image by itself, the same thing would be bright in one and dark in the next; and the full 16
bits make a picture of 12 bits in 16 nearly black. So the decision is of the data set, is told, and stays with
the run and its model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from swtformer.datasets.images import ImageHeader, image_header, read_stored
from swtformer.datasets.pixels.large_images import open_large
from swtformer.datasets.pixels.opened_files import UnclearPixels
from swtformer.datasets.pixels.stored_pixels import StoredPixels, looks_transparent
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, ImageError
from swtformer.settings import UNDECIDED, ImageSettings, Settings

SettingsT = TypeVar("SettingsT", bound=ImageSettings)
Range = str | tuple[float, ...]

HEADERS = 512
"""Files whose headers are read at most, evenly spread over the set."""
SAMPLED = 48
"""Files of more than 8 bits or more than three bands whose values are looked at, at most."""
SAMPLED_VALUES = 200_000_000
"""Values after which no further file is looked at."""
KEPT = 20_000
"""Values per file and band that enter the percentiles."""
PERCENTILES = (1, 99)
DEPTHS = {1: "floats of 0 to 1", 255: "8 bits", 1023: "10 bits", 4095: "12 bits", 16383: "14 bits"}
"""Whites of the usual depths below 16 bits."""
MARKS = frozenset({-99999, -32768, -9999, -999, 32767, 65535})
"""Values that usually mark missing data, besides those of enormous size."""
NEAR = 7 / 8
"""Part of a depth's white that the brightest value must reach for the depth to be meant."""
BRIGHT = 1 / 4
"""Part of white that one pixel in 200 must reach for a set not to come out dark."""


def settle(
    paths: Sequence[Path], settings: SettingsT, *, set_by: str = "as set"
) -> tuple[SettingsT, tuple[str, ...]]:
    """Look at a sample of files, and decide the range where the settings leave it open.

    Args:
        paths: the images of the set.
        settings: how they are read; a range other than auto or percentiles stays as it is.
        set_by: what is said of such a range.

    Returns:
        The settings, whose range is now full or numbers, or still auto where all images have 8 bits; and
        sentences about range, bands and pages for the user, none for plain 8-bit pictures.

    Raises:
        DataError: the set mixes whole numbers and floats, for which there is no common range, or none of its
            images can be seen with these settings.
    """
    headers = dict(_headers(_spread(paths, HEADERS)))
    remarks = _about_pages(headers.values(), settings)
    uncommon = [path for path, header in headers.items() if header.is_deep or header.bands > 3]
    sample = _read(_spread(uncommon, SAMPLED), settings)
    if len(uncommon) == len(headers):
        _refuse_unclear(sample, settings, of=len(paths))
    remarks += _about_bands(sample, settings)
    values = _Values.of(sample, settings)
    if values is None:
        return settings, tuple(remarks)
    decided, why = values.decide(settings.range, set_by)
    shallow = sum(not header.is_deep for header in headers.values())
    remarks.append(values.remark(decided, why, of=len(paths), shallow=shallow))
    return settings.model_copy(update={"range": decided}), tuple(remarks)


def count_rotated(paths: Sequence[Path]) -> tuple[int, int]:
    """How many files of a sample have an EXIF orientation that turns or mirrors them, and how many it has."""
    headers = list(_headers(_spread(paths, HEADERS)))
    return sum(header.orientation != 1 for _, header in headers), len(headers)


def with_range(settings: Settings, data: ImageSet) -> Settings:
    """All settings, with the range decided for a data set where it is open."""
    if settings.data.range not in UNDECIDED:
        return settings
    decided, _ = settle([record.image for record in data.records], settings.data)
    return settings.model_copy(update={"data": decided})


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of the paths, evenly spread; those that come first are spread as well."""
    step = max(1, len(paths) // count)
    chosen = list(paths[::step])[:count]
    return [chosen[place] for turn in range(8) for place in range(turn, len(chosen), 8)]


def _headers(paths: Iterable[Path]) -> Iterable[tuple[Path, ImageHeader]]:
    for path in paths:
        try:
            yield path, image_header(path)
        except ImageError:  # is told where images are read
            continue


def _read(paths: Iterable[Path], settings: ImageSettings) -> list[tuple[Path, StoredPixels]]:
    """The images that can be read, until there are values enough."""
    found: list[tuple[Path, StoredPixels]] = []
    total = 0
    for path in paths:
        if total >= SAMPLED_VALUES:
            break
        try:
            stored = _sample_of(path, settings)
        except ImageError:  # is told where images are read
            continue
        found.append((path, stored.thinned(KEPT)))
        total += stored.values.size
    return found


def _sample_of(path: Path, settings: ImageSettings) -> StoredPixels:
    """The values of an image, or of some rows of a scene."""
    scene = open_large(path, settings)
    if scene is None:
        return read_stored(path, settings.page)
    with scene:
        return scene.sampled


def _about_pages(headers: Iterable[ImageHeader], settings: ImageSettings) -> list[str]:
    paged = [header for header in headers if header.pages > 1]
    if not paged or settings.page is not None:
        return []
    equal = all(header.pages_are_equal for header in paged)
    what = "of one size (a stack, a series or an animation)" if equal else "of different sizes or types"
    return [f"{_images(len(paged))} several pages {what}; the first is read. Choose another with data.page."]


def _refuse_unclear(sample: Sequence[tuple[Path, StoredPixels]], settings: ImageSettings, *, of: int) -> None:
    """Refuse a set at once where the settings do not say how to see any of its images.

    Raises:
        DataError: none of the sampled images can be seen.
    """
    reasons = []
    for path, stored in sample:
        try:
            stored.chosen(settings.bands)
        except UnclearPixels as error:
            reasons.append(f"{path}: {error}.")
    if reasons and len(reasons) == len(sample):
        same = f" The same holds for all {len(sample)} of {of:,} images looked at." if of > 1 else ""
        raise DataError(reasons[0] + same)


def _about_bands(sample: Sequence[tuple[Path, StoredPixels]], settings: ImageSettings) -> list[str]:
    """What becomes of bands beyond a picture."""
    if settings.bands is not None:
        return []
    remarks = []
    more = [(path, each) for path, each in sample if each.colours and each.bands_beyond]
    if more:
        path, each = more[0]
        colours = "the first is read as grey" if each.colours == 1 else "the first 3 are read as RGB"
        remarks.append(
            f"{_images(len(more))} more bands than a picture ({path.name}: {each.about}); {colours}, the "
            "others are left out, also where they are tagged alpha without being transparency. Choose with "
            "data.bands, counted from 1."
        )
    odd = [
        path for path, each in sample if each.alpha is not None and not looks_transparent(each.alpha, (0, 1))
    ]
    if odd:
        remarks.append(
            f"{_images(len(odd))} an alpha channel with the values of a picture ({odd[0].name}); it is taken "
            "as transparency over white, as the format says. data.bands 1,2,3 leaves it out."
        )
    return remarks


def _images(count: int) -> str:
    return "1 image has" if count == 1 else f"{count} images have"


@dataclass(frozen=True)
class _Values:
    """Values of the sampled images of more than 8 bits.

    Attributes:
        files: number of images.
        about: bands and type in words.
        full: black and white of the type.
        bands: a part of the values of each band that is read, sorted.
    """

    files: int
    about: str
    full: tuple[float, float]
    bands: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, sample: Sequence[tuple[Path, StoredPixels]], settings: ImageSettings) -> _Values | None:
        """None where no image of more than 8 bits can be seen with the settings."""
        deep: list[tuple[Path, StoredPixels, np.ndarray]] = []
        for path, stored in sample:
            try:
                chosen = stored.chosen(settings.bands)
            except UnclearPixels:  # is told where images are read
                continue
            if chosen.dtype != np.uint8:
                deep.append((path, stored, chosen))
        if not deep:
            return None
        first = deep[0]
        for path, stored, _ in deep:
            floats = [each.values.dtype.kind == "f" for each in (first[1], stored)]
            if floats[0] != floats[1] and not isinstance(settings.range, tuple):
                raise DataError(
                    f"{first[0]} holds {first[1].about}, {path} {stored.about}: there is no common range. "
                    "Set data.range LOW,HIGH, or convert the images to one type."
                )
        count = min(chosen.shape[2] for _, _, chosen in deep)
        bands = []
        for band in range(count):
            parts = [chosen[:, :, band][stored.has_data(chosen[:, :, band])] for _, stored, chosen in deep]
            bands.append(np.sort(np.concatenate(parts).astype(np.float64)))
        return cls(len(deep), first[1].about, first[1].full, tuple(bands))

    def decide(self, asked: Range, set_by: str) -> tuple[Range, str]:
        """The range, and why it is that."""
        if asked == "percentiles":
            return self.percentiles(), "the 1st and 99th percentile"
        return self.automatic() if asked == "auto" else (asked, set_by)

    def percentiles(self) -> tuple[float, ...]:
        """Low and high, once for a picture, and for each band where there are more than three."""
        groups = self.bands if len(self.bands) > 3 else (np.sort(np.concatenate(self.bands)),)
        ends: list[float] = []
        for values in groups:
            low, high = np.percentile(values, PERCENTILES).tolist() if values.size else self.full
            ends += [low, high if high > low else low + 1]
        return tuple(ends)

    def automatic(self) -> tuple[Range, str]:
        """The decision of auto, and its reason."""
        values = _without_markers(np.sort(np.concatenate(self.bands)))
        if not values.size or values[0] == values[-1]:
            return "full", "all values are equal"
        low, high = float(values[0]), float(values[-1])
        first, bright, last = np.percentile(values, (0.1, 99.5, 99.9)).tolist()
        if low < 0:
            if self.full[0] < 0 and low < self.full[0] / 2 and high > self.full[1] / 2:
                return "full", "all that the type can hold"
            if -1 <= low < -0.5 and 0.5 < high <= 1 and self.full[1] == 1:
                return (-1.0, 1.0), "floats of -1 to 1"
        elif first <= high / 2:
            white = next((white for white in DEPTHS if high <= white), None)
            if white is None and self.full[1] == 65535 and high >= 2**15 and bright >= 65535 * BRIGHT:
                return "full", "16 bits"
            reached = white is not None and (high >= NEAR * white or white == 1)
            if white is not None and reached and bright >= white * BRIGHT:
                return (0.0, float(white)), DEPTHS[white]
            low = 0.0
        if last - max(first, low) >= (high - low) / 2:
            return (low, high), "lowest and highest value" if low else "black and the highest value"
        return self.percentiles(), "the 1st and 99th percentile, as few values are far from all others"

    def remark(self, decided: Range, why: str, *, of: int, shallow: int) -> str:
        """What the user is told of the range."""
        lowest = min(band[0] for band in self.bands if band.size) if any(b.size for b in self.bands) else 0
        highest = max((band[-1] for band in self.bands if band.size), default=0)
        seen = f"{self.files:,} of {of:,} images" if of > 1 else "the image"
        ends = self.full if decided == "full" else decided
        assert isinstance(ends, tuple)
        pairs = [
            f"{low:g} becomes black and {high:g} white"
            for low, high in zip(ends[::2], ends[1::2], strict=True)
        ]
        shown = pairs[0] if len(pairs) == 1 else f"each of {len(pairs)} bands has its own range"
        others = " 8-bit images stay as they are." if shallow else ""
        return (
            f"Values of {lowest:g} to {highest:g} in {seen} ({self.about}): {shown} ({why})."
            f"{others} data.range settles it otherwise."
        )


def _without_markers(values: np.ndarray) -> np.ndarray:
    """Sorted values without marks of missing data: a usual mark that is far from all others.

    Far means farther than all others lie apart. Other values, such as a bright thing of one colour, stay.
    """
    there = np.unique(values)
    if len(there) > 3 and _is_mark(there[0]) and there[1] - there[0] > there[-1] - there[1]:
        values, there = values[values > there[0]], there[1:]
    if len(there) > 3 and _is_mark(there[-1]) and there[-1] - there[-2] > there[-2] - there[0]:
        values = values[values < there[-1]]
    return values


def _is_mark(value: float) -> bool:
    return value in MARKS or abs(value) > 1e15
