"""What the readers of all formats share: which images are wanted, what labels mean, what was wrong."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from swtformer.datasets.background import is_background
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.paths import record_id
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import parse_json, read_text
from swtformer.errors import DataError, nearest
from swtformer.label_values import IGNORED
from swtformer.safe_names import safe_name

IGNORED_NAME = "ignored"
"""Name of 255 in formats with named labels; VOC and CVAT use it too."""

UNKNOWN_IMAGE = "unknown_image"
"""Kind of the warnings about images that the run has no masks of."""

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
        exported: fingerprint of the mask as it was exported; None if the file does not hold it.
        ignored: "drop" if the file has no label for 255, so that its masks say nothing about these pixels.
    """

    id: str
    labels: np.ndarray
    source: str
    exported: str | None = None
    ignored: Ignored = "keep"


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
        wanted = _composed(name)
        fitting = [id for id in self._by_base.get(wanted.rpartition("/")[2], []) if _end_alike(id, wanted)]
        return [id for id in fitting if _composed(id) == wanted] or fitting


class Reading:
    """One import: the wanted images, the classes, and a list of everything that is wrong."""

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
        """Match names with the ids of the export first; other images may have the same last part."""
        self._exported = _Names(ids)

    def image(self, name: str, source: str) -> str | None:
        """The id of the image that a tool calls by a name; None if there is none, which is noted.

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

    def has_size(self, id: str, size: tuple[int, int], source: str) -> bool:
        """Whether a mask has the size of its image. Masks are never resized; another size is noted."""
        known = self.images[id]
        try:
            require_same_size(size, source, known.size, known.source)
        except DataError as error:
            self.problems.fatal("size", str(error), id=id)
            return False
        return True


def json_of(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: it is damaged or too long.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: is not complete JSON ({error}).") from None


def is_json(path: Path, first: bytes) -> bool:
    """Whether a file has the extension .json and begins with a character."""
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    with path.open("rb") as stream:
        return stream.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(first)


def is_ignored(label: str) -> bool:
    """Whether a label of a file means 255."""
    return label.strip().lower() == IGNORED_NAME


class Canvas:
    """Labels painted region by region; where two overlap, the later one lies on top."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.labels = np.zeros(size, dtype=np.uint8)
        self._painted = np.zeros(size, dtype=bool)
        self.contested = 0
        """Pixels that were painted in one label and then in another."""

    def paint(self, region: np.ndarray, value: int) -> None:
        """Give the pixels of a (H, W) bool region a label."""
        self.contested += int(np.count_nonzero(region & self._painted & (self.labels != value)))
        self._painted |= region
        self.labels[region] = value


def warn_of_overlaps(contested: Sequence[int], problems: Problems, path: Path) -> None:
    """Note how many pixels overlap and which region was used, once per file.

    Args:
        contested: `Canvas.contested` of each image.
        problems: where to note it.
        path: of the file.
    """
    if any(contested):
        counted = f"{sum(contested):,} pixels in {np.count_nonzero(contested)} images"
        later = "lie in regions of two labels; the later region in the file was used."
        problems.warn("overlap", f"{path}: {counted} {later}")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _end_alike(one: str, other: str) -> bool:
    """Whether the longer of two names ends with the folders and the base name of the other."""
    one, other = f"/{_composed(one)}", f"/{other}"
    return one.endswith(other) or other.endswith(one)
