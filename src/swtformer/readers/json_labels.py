"""JSON files that give labels of images: dictionaries, lists of records, and tables as pandas writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from swtformer.datasets.annotations.json_files import (
    choose_file,
    data_folder,
    find_files,
    has_other_labels,
    looks_like,
    read_json,
)
from swtformer.datasets.annotations.json_records import IsImage, Keys, NotLabelsError
from swtformer.datasets.annotations.json_shapes import SPLITS, Shape, read_shape
from swtformer.datasets.annotations.json_values import read_labels
from swtformer.datasets.annotations.references import Reference, find_images
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.paths import ImageFolder, is_image_name, listed_path
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split
from swtformer.errors import DataError
from swtformer.safe_names import safe_name
from swtformer.settings import READERS, DataSettings, Section

IMAGE_FOLDERS = ("", "images", "data", "img", "imgs", "train")


class JsonSettings(Section):
    """Options of the JSON reader."""

    image_column: str | None = None
    """Key of records that holds the image; by default the one whose values name images."""
    label_columns: tuple[str, ...] | None = None
    """Keys of records that hold the labels, or 0 and 1 for each class; by default one with a usual name
    (labels, tags …), else all with 0 and 1 alone."""
    threshold: float | None = None
    """Score from which a class is in the image; by default 0.5."""


@READERS.register("json")
class JsonReader(Reader):
    """Labels by image in a JSON file."""

    settings_type = JsonSettings
    expects = "labels by image (.json)"
    priority = -5  # after all formats of tools

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any .json file, which reading will refuse if need be; or a folder with one that names images."""
        if path.is_file():
            return path.suffix.lower() == ".json"
        return bool(_label_files(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read a JSON file of labels.

        It is a dictionary (image to labels, or class to images), a list of records or pairs, a table as
        pandas' `to_json` writes it, any of these by split, or as one part of an object. Labels are a name,
        a list of names, objects with a name and perhaps a score, 0 and 1 or scores by class, or numbers of a
        class list ("classes" of the file, classes.txt, or the setting). null means unknown.

        Raises:
            DataError: every fatal problem; a file of another shape is described by its keys.
        """
        problems = Problems()
        name, file = choose_file(path, None, {}) if path.is_file() else self._file(path, split)
        folder = data_folder(file)
        value = read_json(file)
        keys = Keys(self.options.image_column, self.options.label_columns or ())
        try:
            shape = read_shape(value, str(file), _is_image_below(folder), keys)
        except NotLabelsError as reason:
            raise DataError(
                f"{file}: is {looks_like(value)}, and {reason}. Expected labels by image such as "
                '{"a.jpg": ["cat"]}, records such as [{"image": "a.jpg", "labels": ["cat"]}], COCO or Label '
                "Studio. If it has nothing to do with the images, name the right file, or the folder with "
                "data.format."
            ) from None
        declared = declared_classes(folder, settings, problems)
        labels = read_labels(
            shape.items,
            classes=shape.classes if declared is None else dict(enumerate(declared)),
            declared=declared,
            threshold=self.options.threshold,
            where=str(file),
            problems=problems,
        )
        if not labels.names and shape.items:
            problems.fatal("no_labels", f"{file}: gives none of {len(shape.items)} images a label.")
        chosen = name or _split_of(path, shape, split)
        wanted = [
            (item, own)
            for item, own in zip(shape.items, labels.of, strict=True)
            if chosen is None or name is not None or item.split == chosen
        ]
        images = find_images(
            [Reference(item.name, item.source) for item, _ in wanted],
            root=folder,
            beside=file.parent,
            candidates=[*([folder / chosen] if chosen else []), *(folder / name for name in IMAGE_FOLDERS)],
            named=settings.images,
            problems=problems,
        )
        entries = [
            Entry(*located, own, item.source)
            for (item, own), located in zip(wanted, images.images, strict=True)
            if located is not None
        ]
        return assemble(
            entries,
            origin=Origin("json", path, folder, chosen, images.folder),
            classes=Classes(labels.names if declared is None else declared, declared=declared is not None),
            settings=settings,
            labels_from=f"{file.name} ({shape.description})",
            problems=problems,
        )

    def _file(self, path: Path, split: str | None) -> tuple[str | None, Path]:
        """The split that is a file of its own, and the file; a split within the only file is chosen later."""
        files = _label_files(path)
        return choose_file(path, split if len(files) > 1 else None, files)


def _split_of(path: Path, shape: Shape, asked: str | None) -> str | None:
    known = {item.split for item in shape.items if item.split}
    if asked == ALL and asked not in known:
        return None
    return choose_split(path, asked, known, default=("train", "training"))


def _label_files(folder: Path) -> dict[str, Path]:
    """JSON files that name images, by split: those of a folder, or one in each folder of a split."""
    if beside := _naming_images(folder):
        return beside
    splits = [child for child in sorted(folder.iterdir()) if child.name.lower() in SPLITS and child.is_dir()]
    inside = {} if has_other_labels(folder) else {child.name: _naming_images(child) for child in splits}
    return {name: next(iter(files.values())) for name, files in inside.items() if len(files) == 1}


def _naming_images(folder: Path) -> dict[str, Path]:
    is_image = _is_image_below(folder)
    return find_files(folder, lambda value: _names_images(value, is_image))


def _names_images(value: Any, is_image: IsImage, depth: int = 4) -> bool:
    """Whether keys or texts near the start of a value name images."""
    if isinstance(value, str):
        return is_image(value)
    if depth == 0 or not isinstance(value, dict | list):
        return False
    keys = list(value)[:50] if isinstance(value, Mapping) else []
    parts = list(value.values() if isinstance(value, Mapping) else value)[:50]
    return any(map(is_image, keys)) or any(_names_images(part, is_image, depth - 1) for part in parts)


def _is_image_below(folder: Path) -> IsImage:
    """Tells names of images: by their extension, or as a file in a usual folder without extension."""
    folders = [ImageFolder(folder / name) for name in IMAGE_FOLDERS]

    def is_image(name: str) -> bool:
        if is_image_name(PurePosixPath(listed_path(name)).name):
            return True
        try:
            safe = safe_name(name)
        except ValueError:
            return False
        found = (one.matches(safe) for one in folders)
        return any(len(names) == 1 and is_image_name(PurePosixPath(names[0]).name) for names in found)

    return is_image
