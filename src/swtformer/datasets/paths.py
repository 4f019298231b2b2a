"""Image names in lists and tables: whether they are safe, which file they mean, what outputs are called."""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swtformer.datasets.problems import Problems
from swtformer.errors import DataError
from swtformer.safe_names import safe_name

IMAGE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""Extensions (lower case) of files that count as images."""

PROBED_NAMES = 50


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image; hidden files (``._a.jpg``) do not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def record_id(name: str) -> str:
    """Name of an image's outputs: its relative POSIX path without image extension."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_EXTENSIONS else str(path)


@dataclass(frozen=True)
class _Listing:
    """Files of one folder, by name, by composed Unicode name, and by name without image extension."""

    names: frozenset[str]
    composed: dict[str, str]
    stems: dict[str, tuple[str, ...]]


class ImageFolder:
    """Finds files by the names that lists give them; each folder on disk is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, _Listing] = {}

    def matches(self, name: str) -> tuple[str, ...]:
        """Files that a safe relative name can mean, as relative POSIX paths; several only without extension.

        Names are compared as they are, then in composed Unicode form (macOS decomposes), then as names
        whose image extension was left out.
        """
        parent, slash, base = name.rpartition("/")
        listing = self._listing(parent)
        prefix = parent + slash
        if base in listing.names:
            return (name,)
        composed = unicodedata.normalize("NFC", base)
        if composed in listing.composed:
            return (prefix + listing.composed[composed],)
        return tuple(prefix + found for found in listing.stems.get(composed, ()))

    def _listing(self, parent: str) -> _Listing:
        if parent not in self._listings:
            self._listings[parent] = _list_folder(self.root / parent)
        return self._listings[parent]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder or leads to one; a link that leads to itself does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _list_folder(folder: Path) -> _Listing:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_folder(entry))
    except PermissionError:
        raise DataError(f"{folder}: permission denied; change its permissions.") from None
    except OSError:  # missing, or not a folder: then it holds no images
        names = []
    stems: dict[str, tuple[str, ...]] = {}
    for name in filter(is_image_name, names):
        stem = unicodedata.normalize("NFC", record_id(name))
        stems[stem] = (*stems.get(stem, ()), name)
    return _Listing(frozenset(names), {unicodedata.normalize("NFC", name): name for name in names}, stems)


def images_folder(named: Path | None, candidates: Sequence[Path], names: Iterable[str]) -> ImageFolder:
    """The folder that image names are relative to.

    Args:
        named: the folder that the user gave, which is then taken.
        candidates: else the one that holds most of the first 50 names is taken, the first on a tie.
        names: image names as the list gives them; unsafe ones are ignored here and reported by `locate`.

    Raises:
        DataError: the folder that the user gave does not exist.
    """
    if named is not None:
        if not named.is_dir():
            raise DataError(f"{named}: the folder of images does not exist.")
        return ImageFolder(named)
    probed = list(itertools.islice(filter(None, map(_safe_or_none, names)), PROBED_NAMES))
    existing = [candidate for candidate in candidates if candidate.is_dir()]
    folders = [ImageFolder(candidate) for candidate in existing or candidates]
    return max(folders, key=lambda folder: sum(1 for name in probed if folder.matches(name)))


def _safe_or_none(name: str) -> str | None:
    try:
        return safe_name(name)
    except ValueError:
        return None


def locate(folder: ImageFolder, name: str, source: str, problems: Problems) -> tuple[str, Path | None] | None:
    """Record id and file of an image name; the file is None where it is missing.

    Returns:
        None where the name is unsafe or fits several files, which is a fatal problem.
    """
    try:
        safe = safe_name(name)
    except ValueError as error:
        problems.fatal("unsafe_name", f"{source}: {error}.")
        return None
    found = folder.matches(safe)
    if len(found) > 1:
        shown = " and ".join(repr(item) for item in found)
        problems.fatal("ambiguous_name", f"{source}: {name!r} fits {shown}; write the extension.")
        return None
    if not found:
        return record_id(safe), None
    return record_id(found[0]), folder.root / found[0]
