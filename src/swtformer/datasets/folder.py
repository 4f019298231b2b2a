"""Folders of images: one sub-folder per class, or images alone, which are unlabelled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.assemble import BACKGROUND_NAMES, Classes, Entry, Origin, assemble
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import CLASS_FILES, declared_classes
from swtformer.datasets.paths import is_image_name, record_id
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split
from swtformer.settings import READERS, DataSettings

SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


@READERS.register("folder")
class FolderReader(Reader):
    """A folder per class."""

    expects = "a folder of images, one sub-folder per class"
    priority = -10  # any folder with an image in it

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with an image anywhere in it."""
        return path.is_dir() and any(is_image_name(file.name) for file in _walk(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a folder whose sub-folders are named after the class of all images in them.

        A sub-folder called background, _background_ or none holds images without any class. Images that lie
        in the folder itself, with no sub-folder beside them, are unlabelled. If all top folders are called
        train, val, test or the like, they are splits: "train" is read by default, or everything if it does
        not exist; "all" reads everything. The class list is that of all splits.

        Raises:
            DataError: every fatal problem.
        """
        problems = Problems()
        split_folders = _split_folders(path)
        chosen = None
        if not (split == ALL and split_folders):
            chosen = choose_split(path, split, split_folders, default=("train", "training"))
        files = [
            file
            for base in ([path / name for name in split_folders] or [path])
            for file in _image_files(base, problems)
        ]
        names = sorted({file.label for file in files if file.label and not _is_background(file.label)})
        declared = declared_classes(path, settings, problems)
        base = path / chosen if chosen else path
        wanted = [file for file in files if file.path.is_relative_to(base)]
        labelled = any(file.label for file in wanted)
        return assemble(
            [_entry(file, base, path, labelled, problems) for file in wanted],
            origin=Origin("folder", path, path, chosen, base),
            classes=Classes(tuple(names) if declared is None else declared, declared=declared is not None),
            settings=settings,
            labels_from="folder names",
            problems=problems,
        )


def _is_background(name: str) -> bool:
    return name.lower() in BACKGROUND_NAMES


def _split_folders(path: Path) -> list[str]:
    """Names of the top folders where all of them are splits and no image lies beside them."""
    names = [child.name for child in sorted(path.iterdir()) if not child.name.startswith(".")]
    folders = [name for name in names if (path / name).is_dir()]
    are_splits = all(name.lower() in SPLIT_FOLDERS for name in folders)
    return folders if are_splits and not any(map(is_image_name, names)) else []


@dataclass(frozen=True)
class _File:
    """An image and the name of its class folder, if it lies in one."""

    path: Path
    label: str | None


def _walk(base: Path) -> Iterator[Path]:
    """Files below a folder; hidden ones are left out, and links to folders are followed once."""
    visited: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(base, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def image_files_below(base: Path) -> Iterator[Path]:
    """Files below a folder that are images by their extension, unsorted; hidden ones are left out."""
    return (path for path in _walk(base) if is_image_name(path.name))


def _image_files(base: Path, problems: Problems) -> Iterator[_File]:
    """Images below `base`, sorted by path; warns of other files."""
    files = sorted(_walk(base))
    for path in files:
        if is_image_name(path.name):
            parts = path.relative_to(base).parts
            yield _File(path, parts[0] if len(parts) > 1 else None)
    others = [file.name for file in files if not is_image_name(file.name) and file.name not in CLASS_FILES]
    if others:
        message = (
            f"{base}: {len(others)} files are ignored, because their extension is not that of an image; "
            f"the first is {others[0]!r}."
        )
        problems.warn("ignored_file", message)


def _entry(file: _File, base: Path, root: Path, labelled: bool, problems: Problems) -> Entry:
    name = file.path.relative_to(base).as_posix()
    source = file.path.relative_to(root).as_posix()
    labels: tuple[str, ...] | None = None
    if file.label is not None:
        labels = () if _is_background(file.label) else (file.label,)
    elif labelled:
        message = f"{source}: lies beside the class folders; move it into one, or into 'background'."
        problems.fatal("image_without_folder", message)
    return Entry(record_id(name), file.path, labels, source)
