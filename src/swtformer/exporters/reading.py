"""What the readers of all formats share: which images are wanted, what labels mean, what was wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from swtformer.datasets.background import is_background
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.paths import composed_name, record_id
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError, nearest
from swtformer.exporters.objects import box_of
from swtformer.label_values import IGNORED, IGNORED_NAME
from swtformer.safe_names import safe_name

UNKNOWN_IMAGE = "unknown_image"
"""Kind of the warnings about images that the run has no masks of."""

PASSED_OVER = "passed_over"
"""Kind of the warnings about regions that are not masks."""

_RENAMED = (
    re.compile(r"(.+)_(?:bmp|jpe?g|png|tiff?|webp)\.rf\.\w+", re.IGNORECASE),
    re.compile(r"(?:.*/)?[0-9a-f]{8}-(.+)"),
)
"""How Roboflow renames b.jpg, and Label Studio an uploaded file: b_jpg.rf.<digits>.jpg, <8 digits>-b.jpg."""

Ignored = Literal["keep", "drop"]
"""What an export did with 255: kept it, or made it background."""


@dataclass(frozen=True)
class Known:
    """An image whose mask may be imported.

    Attributes:
        size: (height, width) in pixels.
        source: the file that has this size, for messages.
    """

    size: tuple[int, int]
    source: Path


@dataclass(frozen=True)
class Correction:
    """One mask that was read.

    Attributes:
        id: of its image.
        labels: (H, W) uint8.
        source: its place in the file, for messages.
        exported: fingerprint of the mask as it was exported; None if the tool dropped it from the file.
        ignored: "drop" if the file has no label for 255, so that its masks say nothing about these pixels.
        is_drawn: False if the file lists the image without any mask or region, which means background.
    """

    id: str
    labels: np.ndarray
    source: str
    exported: str | None = None
    ignored: Ignored = "keep"
    is_drawn: bool = True


class NoMaskError(ValueError):
    """A region has no area, such as a box or a line. The message is a noun phrase: "a box"."""


class _Names:
    """Ids by the names that tools may give them: folders before a name are added or dropped."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for id in ids:
            self._by_base[composed_name(id).rpartition("/")[2]].append(id)

    def fitting(self, name: str) -> list[str]:
        """Ids that a name can mean."""
        if name in self._ids:
            return [name]
        wanted = composed_name(name)
        fitting = [id for id in self._by_base.get(wanted.rpartition("/")[2], []) if _end_alike(id, wanted)]
        return [id for id in fitting if composed_name(id) == wanted] or fitting


class Reading:
    """One import: the wanted images, the classes, and a list of everything that is wrong."""

    def __init__(
        self,
        images: Mapping[str, Known],
        classes: Sequence[str],
        problems: Problems,
        *,
        strict: bool = False,
    ) -> None:
        """Prepare to match names.

        Args:
            images: by id.
            classes: class names in the order of the mask values 1, 2, …
            problems: where to note what is wrong; the caller raises it.
            strict: whether a region that is not a mask is fatal, or else passed over with a warning.
        """
        self.images = images
        self.classes = classes
        self.problems = problems
        self._strict = strict
        self._has_background = False
        self._values = {name: k + 1 for k, name in enumerate(classes)}
        self._unknown: set[str] = set()
        self._taken: dict[str, str] = {}
        self._names = _Names(images)
        self._exported = _Names(())

    def expect(self, ids: Collection[str]) -> None:
        """Match names with the ids of the export first; other images may have the same last part."""
        self._exported = _Names(ids)

    def image(self, name: str, source: str, *, original: str | None = None) -> str | None:
        """The id of the image that a tool calls by a name; None if there is none, which is noted.

        Tools add or drop folders before a name, so the longer of id and name may end with the other.

        Args:
            name: in the file.
            source: its place, for messages.
            original: its name before the tool renamed it, which counts first.
        """
        try:
            names = [safe_name(each) for each in (original, name) if each is not None]
        except ValueError as error:
            self.problems.fatal("unsafe_name", f"{source}: {error}.")
            return None
        safe = names[-1]
        fitting = next((ids for each in names for ids in self._readings(each) if ids), [])
        if not any(id in self.images for id in fitting):
            message = f"{source}: the run has no mask of the image {name!r}; left out."
            self.problems.warn(UNKNOWN_IMAGE, message, id=record_id(safe))
            return None
        if len(fitting) > 1:
            shown = " and ".join(map(repr, sorted(fitting)[:5]))
            self.problems.fatal(
                "ambiguous_name", f"{source}: {name!r} fits {shown}; write it with its folder."
            )
            return None
        id = fitting[0]
        first = self._taken.setdefault(id, source)
        if first != source:
            self.problems.fatal(
                "twice", f"{source}: is the image {id!r}, and so is {first}; keep one of them."
            )
            return None
        return id

    def _readings(self, name: str) -> Iterator[list[str]]:
        """Ids that a name can mean, by each way to read it; the likeliest way first."""
        for names in (self._exported, self._names):
            yield names.fitting(name)
            yield names.fitting(record_id(name))
            for pattern in _RENAMED:
                if renamed := pattern.fullmatch(record_id(name)):
                    yield names.fitting(renamed[1])

    def value(self, label: str, source: str) -> int | None:
        """The mask value of a label; None for an unknown class, which is noted once."""
        name = label.strip()
        if name in self._values:
            return self._values[name]
        if is_background(name):
            return 0
        if is_ignored(name):
            return IGNORED
        if name not in self._unknown:
            self._unknown.add(name)
            self.problems.fatal(
                "unknown_class", f"{source}: unknown class {name!r}. {nearest(name, self.classes)}"
            )
        return None

    def warn_of_order(self, where: str, *, first: int) -> None:
        """Note that class numbers, the first of which is given, are taken as those of the run."""
        numbered = ", ".join(f"{number}={name}" for number, name in enumerate(self.classes, first))
        self.problems.warn(
            "class_order", f"{where}: no list of class names was found; numbers are read as {numbered}."
        )

    def note_background(self) -> None:
        """Say once that the file draws background like a class."""
        if not self._has_background:
            self._has_background = True
            self.problems.warn(
                "background", "The file has regions of a label that means background; they are background."
            )

    def pass_over(self, id: str, source: str, what: object) -> None:
        """Note a region that is not a mask: a warning, or fatal if the import is strict."""
        if self._strict:
            self.problems.fatal(PASSED_OVER, f"{source}: is {what}, not a mask.", id=id)
        else:
            self.problems.warn(PASSED_OVER, f"{source}: is {what}, not a mask; passed over.", id=id)

    def has_size(self, id: str, size: tuple[int, int], source: str) -> bool:
        """Whether a mask has the size of its image. Masks are never resized; another size is noted."""
        known = self.images[id]
        try:
            require_same_size(size, source, known.size, known.source)
        except DataError as error:
            self.problems.fatal("size", str(error), id=id)
            return False
        return True


def is_ignored(label: str) -> bool:
    """Whether a label of a file means 255."""
    return label.strip().lower() == IGNORED_NAME


class Canvas:
    """The mask of one image, painted region by region; where two overlap, the later one lies on top."""

    def __init__(self, id: str, reading: Reading) -> None:
        self.id = id
        self.size = reading.images[id].size
        self.labels = np.zeros(self.size, dtype=np.uint8)
        self.contested = 0
        """Pixels that were painted in one label and then in another."""
        self._reading = reading
        self._painted = np.zeros(self.size, dtype=bool)
        self._is_drawn = False
        self._has_passed_over = False
        self._is_usable = True

    @contextmanager
    def region(self, source: str) -> Iterator[None]:
        """Within this block one region is read and painted; what is wrong with it is noted.

        A `NoMaskError` passes the region over; other errors of damaged values and lacking fields are fatal.
        """
        try:
            yield
        except NoMaskError as error:
            self.pass_over(source, error)
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            message = f"the region lacks {error}" if isinstance(error, KeyError) else str(error)
            self._reading.problems.fatal("region", f"{source}: {message}.", id=self.id)
            self._is_usable = False

    def has_size(self, size: tuple[int, int], source: str) -> bool:
        """Whether a region was drawn on an image of this size; another one is noted."""
        fits = self._reading.has_size(self.id, size, source)
        self._is_usable = self._is_usable and fits
        return fits

    def pass_over(self, source: str, what: object) -> None:
        """Note a region that is not a mask."""
        self._has_passed_over = True
        self._reading.pass_over(self.id, source, what)

    def paint(self, region: np.ndarray, value: int | None) -> None:
        """Give the pixels of a (H, W) bool region a label; None stands for an unknown class, noted before."""
        if value is None:
            self._is_usable = False
            return
        if value == 0:
            self._reading.note_background()
        self._is_drawn = True
        box = box_of(region)  # most regions are small, and there may be many
        inner, painted, labels = region[box], self._painted[box], self.labels[box]
        self.contested += int(np.count_nonzero(inner & painted & (labels != value)))
        painted[inner] = True
        labels[inner] = value

    def corrections(
        self, source: str, exported: str | None = None, ignored: Ignored = "keep"
    ) -> Iterator[Correction]:
        """The mask, unless a region is fatal, or all were passed over: then the image keeps its mask."""
        if self._is_usable and (self._is_drawn or not self._has_passed_over):
            yield Correction(self.id, self.labels, source, exported, ignored, self._is_drawn)


def warn_of_overlaps(contested: Sequence[int], problems: Problems, where: object) -> None:
    """Note how many pixels overlap and which region was used, once per file.

    Args:
        contested: `Canvas.contested` of each image.
        problems: where to note it.
        where: the file.
    """
    if any(contested):
        counted = f"{sum(contested):,} pixels in {np.count_nonzero(contested)} images"
        later = "lie in regions of two labels; the later region in the file was used."
        problems.warn("overlap", f"{where}: {counted} {later}")


def _end_alike(one: str, other: str) -> bool:
    """Whether the longer of two names ends with the folders and the base name of the other."""
    one, other = f"/{composed_name(one)}", f"/{other}"
    return one.endswith(other) or other.endswith(one)
