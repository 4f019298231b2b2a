"""Opens a data set in any format: the one place where the readers meet."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from swtformer.datasets import coco, folder, pascal_voc, shapes_reader, table
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import refuse_pickle
from swtformer.errors import DataError, nearest
from swtformer.settings import DataSettings


class Reader(Protocol):
    """What the module of a format offers."""

    def recognises(self, path: Path) -> bool:
        """Whether what lies at an existing path looks like this format; reads names only."""

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one split; the split named, else the format's default."""


READERS: dict[str, Reader] = {
    "shapes": shapes_reader,
    "voc": pascal_voc,
    "coco": coco,
    "table": table,
    "folder": folder,
}
"""Formats in the order in which they are tried; a new format is one module and one line here."""


def recognise(path: Path | str) -> str:
    """Name of the format that lies at a path.

    Raises:
        DataError: nothing is there, or nothing that any reader knows.
    """
    path = _existing(Path(path))
    for name, reader in READERS.items():
        if reader.recognises(path):
            return name
    if path.is_file() and is_image_name(path.name):
        raise DataError(f"{path}: is a single image; give the folder that it lies in.")
    expected = (
        "expected a VOC folder (JPEGImages, ImageSets), COCO annotations (.json), a label table (.csv, .tsv, "
        ".jsonl), or a folder of images, one sub-folder per class"
    )
    raise DataError(f"{path}: is no data set; {expected}.")


def open_dataset(
    path: Path | str, settings: DataSettings | None = None, *, split: str | None = None
) -> ImageSet:
    """Open a data set, or one split of it.

    Args:
        path: file or folder.
        settings: format, classes, folders of images and masks, defaults where None; its split holds unless
            `split` is given.
        split: overrides `settings.split`.

    Returns:
        The images in the order of the source, with the problems that do not stop it.

    Raises:
        DataError: the data set cannot be used; the message lists every fatal problem at once.
    """
    path = Path(path)
    settings = settings or DataSettings()
    try:
        name = recognise(path) if settings.format == "auto" else settings.format
        return READERS[name].read(_existing(path), settings, split or settings.split)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}.") from error


def _existing(path: Path) -> Path:
    """The path, if a reader may look at it."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: is neither a file nor a folder.")
    if not path.exists():
        siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = f" {nearest(path.name, siblings)}" if siblings else ""
        raise DataError(f"{path}: does not exist.{hint}")
    refuse_pickle(path)
    return path
