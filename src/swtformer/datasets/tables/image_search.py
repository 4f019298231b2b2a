"""Finds the images of a table: in a folder beside it, or spread over folders below it."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from swtformer.datasets.paths import (
    PROBED_NAMES,
    ImageFolder,
    best_folder,
    composed_name,
    hits_of,
    images_folder,
    is_image_name,
    listed_path,
    record_id,
    without_root,
)
from swtformer.datasets.splits import is_split
from swtformer.safe_names import safe_name

IMAGE_FOLDERS = ("", "images", "JPEGImages", "img", "imgs", "photos", "data")
"""Folders beside a table that images are looked for in first."""

MASK_FOLDERS = ("masks", "mask", "SegmentationClass", "gt", "truth", "ground_truth", "annotations", "labels")
"""Folders beside a table that hold masks: images are not looked for in them."""

MOST_FOLDERS = 100


class SpreadFolder(ImageFolder):
    """Images anywhere below a folder, found by the end of their path."""

    def __init__(self, root: Path, excluded: Iterable[Path]) -> None:
        super().__init__(root)
        self._by_base: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._by_folded: dict[str, list[str]] = {}
        for name in _image_names(root, {path.resolve() for path in excluded}):
            base = composed_name(name.rpartition("/")[2])
            self._by_base.setdefault(base, []).append(name)
            self._by_stem.setdefault(record_id(base), []).append(name)
            self._by_folded.setdefault(base.casefold(), []).append(name)

    def matches(self, name: str) -> tuple[str, ...]:
        """Files whose path ends like a name, by as many of its folders as fit."""
        parts = PurePosixPath(composed_name(name)).parts
        base = parts[-1]
        found = self._by_base.get(base) or self._by_stem.get(base) or self._by_folded.get(base.casefold(), [])
        for start in range(len(parts) - 1):
            folders = "/".join(parts[start:-1])
            inside = [item for item in found if f"/{item.rpartition('/')[0]}".endswith(f"/{folders}")]
            if inside:
                return tuple(inside)
        return tuple(found)

    def inner(self, name: str) -> str:
        """A listed name as a relative one; of absolute names only the end counts."""
        return safe_name(without_root(listed_path(name)))


def _image_names(root: Path, excluded: set[Path]) -> list[str]:
    """Images below a folder as relative names, sorted; links to folders are not followed."""
    names = []
    for parent, folders, files in os.walk(root):
        folders[:] = [
            folder
            for folder in folders
            if not folder.startswith(".")
            and folder not in MASK_FOLDERS
            and Path(parent, folder).resolve() not in excluded
        ]
        relative = Path(parent).relative_to(root)
        names += [(relative / file).as_posix() for file in files if is_image_name(file)]
    return sorted(names)


class ImageSearch:
    """Where the images of a table lie.

    Args:
        folder: the folder of the table.
        named: the folder that the user gave, if any: nothing else is looked into then.
        masks: folder of masks that the user gave, which holds no images.
    """

    def __init__(self, folder: Path, named: Path | None, masks: Path | None = None) -> None:
        self._folder = folder
        self._named = named
        self._excluded = [] if masks is None else [masks]
        above = [folder.parent / name for name in IMAGE_FOLDERS[1:4]]
        own = [folder / name for name in IMAGE_FOLDERS]
        self._candidates = [*own, *self._others(own), *above]

    def folder_of(self, names: Iterable[str]) -> ImageFolder:
        """The folder that holds most of the first 50 names; all folders together where that finds more."""
        probed = list(names)
        best = best_folder(self._folders, probed)
        hits, most = hits_of(best, probed), len(probed)
        if self._named is not None or hits == most or hits_of(self._spread, probed) <= hits:
            return best
        return self._spread

    def split_folders(self, names: Iterable[str]) -> list[ImageFolder]:
        """Folders called like splits that hold images of one name (train/1.jpg, val/1.jpg); else none."""
        folders = [folder for folder in self._folders if is_split(folder.root.name)]
        for name in itertools.islice(dict.fromkeys(names), PROBED_NAMES):
            if len(found := [folder for folder in folders if hits_of(folder, [name])]) > 1:
                return found
        return []

    def elsewhere(self, names: Iterable[str], chosen: ImageFolder) -> tuple[str, list[Path]]:
        """The first name that is another file in other folders below this one, and these; without, none.

        Only JPEGs count: masks beside the photographs have their names, too, and are never JPEGs.
        """
        if self._named is not None or chosen is self._spread:
            return "", []
        below = [path.resolve() for path in self._candidates if path.is_relative_to(self._folder)]
        others = [each for each in self._folders if each.root.resolve() in below]
        for name in itertools.islice(dict.fromkeys(names), PROBED_NAMES):
            if not name.lower().endswith((".jpg", ".jpeg")):
                continue
            own = _file(chosen, name)
            if own and (found := [each.root for each in others if _file(each, name) not in {None, own}]):
                return name, found
        return "", []

    def hits(self, names: Sequence[str]) -> int:
        """How many of some names are images of the data set."""
        different = list(dict.fromkeys(names))
        return hits_of(self.folder_of(different), different)

    @functools.cached_property
    def _folders(self) -> list[ImageFolder]:
        """Where images may be; each is listed once."""
        if self._named is not None:
            return [images_folder(self._named, [], ())]
        existing = [path for path in self._candidates if path.is_dir()]
        return [ImageFolder(path) for path in existing or self._candidates]

    @functools.cached_property
    def _spread(self) -> SpreadFolder:
        return SpreadFolder(self._folder, self._excluded)

    def _others(self, known: Sequence[Path]) -> list[Path]:
        """Folders beside the table that have no usual name, and those of "images" that are splits."""
        masks = {path.resolve() for path in self._excluded}
        beside = [path for base in (self._folder, self._folder / "images") for path in _folders(base)]
        found = [path for path in beside if path not in known and path.resolve() not in masks]
        return [path for path in found if path.name not in MASK_FOLDERS][:MOST_FOLDERS]


def _file(folder: ImageFolder, name: str) -> Path | None:
    """The file of a folder that a name means, with links followed."""
    if not hits_of(folder, [name]):
        return None
    return (folder.root / folder.matches(folder.inner(name))[0]).resolve()


def _folders(base: Path) -> list[Path]:
    if not base.is_dir():
        return []
    return sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))
