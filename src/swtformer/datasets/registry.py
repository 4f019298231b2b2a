"""Opens a data set in any format: the one place where the readers meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from swtformer.datasets.base import Reader
from swtformer.datasets.groups import with_groups
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.records import ImageSet, Opened
from swtformer.datasets.rows import refuse_pickle
from swtformer.errors import DataError, PluginError, SettingsError, nearest
from swtformer.settings import READERS, DataSettings

PATTERN_READER = "folder"
"""The reader of labels in file names."""


def recognise(path: Path | str) -> str:
    """Name of the format that lies at a path.

    Raises:
        DataError: nothing is there, or nothing that any reader knows.
    """
    path = _existing(Path(path))
    readers: list[tuple[str, type[Reader]]] = sorted(READERS.loadable(), key=lambda item: -item[1].priority)
    for name, reader in readers:
        if reader.recognises(path):
            return name
    if path.is_file() and is_image_name(path.name):
        raise DataError(f"{path}: is a single image; give the folder that it lies in.")
    expected = "; ".join(reader.expects for _, reader in readers if reader.expects)
    raise DataError(f"{path}: is not a data set of a known format; expected one of: {expected}.")


def open_dataset(
    path: Path | str,
    settings: DataSettings | None = None,
    *,
    split: str | None = None,
    reader: Mapping[str, Any] | None = None,
) -> ImageSet:
    """Open a data set, or one split of it.

    Args:
        path: file or folder.
        settings: format, classes, folders of images and masks, defaults where None; its split holds unless
            `split` is given.
        split: overrides `settings.split`.
        reader: options of the format's reader (section `reader` of the settings).

    Returns:
        The images in the order of the source, with the problems that do not stop it.

    Raises:
        DataError: the data set cannot be used; the message lists every fatal problem at once.
        PluginError: the reader gives something else than an ImageSet.
    """
    path = Path(path)
    settings = settings or DataSettings()
    split = split or settings.split
    try:
        name = settings.format
        if name == "auto":
            name = PATTERN_READER if settings.pattern is not None else recognise(path)
        if settings.pattern is not None and name != PATTERN_READER:
            raise SettingsError(f"`data.pattern` is of the format {PATTERN_READER}; leave it out for {name}.")
        chosen: Reader = READERS[name](READERS.options(name, reader or {}))
        images = chosen.read(_existing(path), settings, split)
        if not isinstance(images, ImageSet):
            raise PluginError(
                f"The reader {name!r}: read gave {type(images).__name__}; expected an ImageSet."
            )
        if settings.group is not None:
            images = with_groups(images, settings.group)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}.") from error
    except RecursionError:
        raise DataError(f"{path}: holds values that are nested too deeply to be labels.") from None
    noted = settings.model_copy(update={"format": name, "split": split})
    return replace(images, opened=Opened(path.resolve(), noted, dict(reader or {})))


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
