"""What the readers of all formats share: whose masks are wanted, what labels mean, what was wrong."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swtformer.datasets.assemble import BACKGROUND_NAMES
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.paths import record_id
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError, nearest
from swtformer.exporters.provenance import Provenance
from swtformer.label_values import IGNORED
from swtformer.safe_names import safe_name

IGNORED_NAME = "ignored"
"""What 255 is called in formats that only know named labels; VOC and CVAT call it so."""

UNKNOWN_IMAGE = "unknown_image"
"""Kind of the warnings about images that the run has no masks of."""


@dataclass(frozen=True)
class Known:
    """An image whose mask may come back.

    Attributes:
        size: (height, width) in pixels.
        source: the file that says so, for messages.
    """

    size: tuple[int, int]
    source: Path


@dataclass(frozen=True)
class Correction:
    """One mask that came back.

    Attributes:
        id: of its image.
        labels: (H, W) uint8.
        source: where they stood, for messages.
        provenance: what the export noted about the mask; None where it noted nothing or a tool dropped it.
    """

    id: str
    labels: np.ndarray
    source: str
    provenance: Provenance | None = None


class _Names:
    """Ids by the names that tools may give them: folders before a name are added or dropped."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for id in ids:
            self._by_base[_composed(id).rpartition("/")[2]].append(id)

    def fitting(self, name: str) -> list[str]:
        """Ids that a name can mean."""
        if name in self._ids:
            return [name]
        parts = _composed(name).split("/")
        fitting = []
        for id in self._by_base.get(parts[-1], []):
            own = _composed(id).split("/")
            shorter = min(len(own), len(parts))
            if own[-shorter:] == parts[-shorter:]:
                fitting.append(id)
        exact = [id for id in fitting if _composed(id) == _composed(name)]
        return exact or fitting


class Reading:
    """One import: the images that are wanted, the classes, and notes of everything that is wrong."""

    def __init__(self, images: Mapping[str, Known], classes: Sequence[str], problems: Problems) -> None:
        """Prepare to match names.

        Args:
            images: by id.
            classes: class names in the order of the mask values 1, 2, …
            problems: where to note what is wrong; the caller raises it.
        """
        self.images = images
        self.classes = classes
        self.problems = problems
        self._values = {name: k + 1 for k, name in enumerate(classes)}
        self._unknown: set[str] = set()
        self._taken: dict[str, str] = {}
        self._names = _Names(images)
        self._exported = _Names(())

    def expect(self, ids: Collection[str]) -> None:
        """Take names for ids of the export rather than for others, which may have the same last part."""
        self._exported = _Names(ids)

    def image(self, name: str, source: str) -> str | None:
        """The id that a tool's name of an image stands for; None is noted.

        Tools add or drop folders before a name, so the longer of id and name may end with the other.
        """
        try:
            safe = safe_name(name)
        except ValueError as error:
            self.problems.fatal("unsafe_name", f"{source}: {error}.")
            return None
        fitting = next(filter(None, self._readings(safe)), [])
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
        return self._take(fitting[0], source)

    def _readings(self, name: str) -> Iterator[list[str]]:
        """Ids that a name can mean, by each way to read it; the likeliest way first."""
        for names in (self._exported, self._names):
            yield names.fitting(name)
            yield names.fitting(record_id(name))

    def _take(self, id: str, source: str) -> str | None:
        first = self._taken.setdefault(id, source)
        if first != source:
            self.problems.fatal(
                "twice", f"{source}: is the image {id!r}, and so is {first}; keep one of them."
            )
            return None
        return id

    def value(self, label: str, source: str) -> int | None:
        """The mask value of a label; None, for a class that the run does not have, is noted once."""
        name = label.strip()
        if name in self._values:
            return self._values[name]
        if name.lower() in BACKGROUND_NAMES:
            return 0
        if name.lower() == IGNORED_NAME:
            return IGNORED
        if name not in self._unknown:
            self._unknown.add(name)
            self.problems.fatal(
                "unknown_class", f"{source}: unknown class {name!r}. {nearest(name, self.classes)}"
            )
        return None

    def has_size(self, id: str, size: tuple[int, int], source: str) -> bool:
        """Whether a mask has its image's size; if not, that is noted as a problem."""
        known = self.images[id]
        try:
            require_same_size(size, source, known.size, known.source)
        except DataError as error:
            self.problems.fatal("size", str(error), id=id)
            return False
        return True


class Canvas:
    """Labels painted region by region; where two meet, the later one lies on top.

    "Ignored" says that nobody knows the class, so it gives way to every class, whichever comes first.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.labels = np.zeros(size, dtype=np.uint8)
        self._painted = np.zeros(size, dtype=bool)
        self._ignored = np.zeros(size, dtype=bool)
        self.contested = 0
        """Pixels that changed from one class to another after they had been painted."""

    def paint(self, region: np.ndarray, value: int) -> None:
        """Give the pixels of a (H, W) bool region a label."""
        if value == IGNORED:
            self._ignored |= region
            self.labels[region & ~self._painted] = IGNORED
            return
        self.contested += int(np.count_nonzero(region & self._painted & (self.labels != value)))
        self._painted |= region
        self.labels[region] = value

    @property
    def claimed(self) -> int:
        """Pixels that lie in "ignored" and in a class, and have the class."""
        return int(np.count_nonzero(self._ignored & self._painted))


class Overlaps:
    """Where the regions of a file's images overlap, to be told once for the file."""

    def __init__(self) -> None:
        self._contested: list[int] = []
        self._claimed: list[int] = []

    def add(self, canvas: Canvas) -> None:
        """Count the pixels of one image."""
        self._contested += [canvas.contested] if canvas.contested else []
        self._claimed += [canvas.claimed] if canvas.claimed else []

    def warn(self, problems: Problems, path: Path) -> None:
        """Say what was found, and which region was taken."""
        if self._contested:
            problems.warn(
                "overlap",
                f"{path}: {_counted(self._contested)} lie in regions of two classes; the one that stands "
                "later in the file was taken.",
            )
        if self._claimed:
            problems.warn(
                "overlap",
                f'{path}: {_counted(self._claimed)} lie in "{IGNORED_NAME}" and in a class; the class was '
                "taken. Erase it where the pixels are to be ignored.",
            )


def _counted(pixels: Sequence[int]) -> str:
    return f"{sum(pixels):,} pixels in {len(pixels)} images"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
