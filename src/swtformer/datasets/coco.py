"""COCO's annotation JSON: image-level labels are the categories of an image's annotations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.paths import images_folder, locate
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import parse_json, read_text
from swtformer.datasets.splits import choose_split
from swtformer.errors import DataError
from swtformer.label_sources import categories_in
from swtformer.settings import READERS, DataSettings

ROBOFLOW_FILE = "_annotations.coco.json"
OTHER_TASKS = re.compile(r"(captions|person_keypoints|image_info|stuff|panoptic)_")
"""Files in COCO's annotations folder that hold other tasks than instances."""


@READERS.register("coco")
class CocoReader(Reader):
    """COCO annotation files."""

    expects = "COCO annotations (.json)"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A .json file, or a folder with annotations/*.json, instances_*.json or Roboflow's file names."""
        return path.suffix.lower() == ".json" if path.is_file() else bool(_annotation_files(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one annotation file.

        A class is in an image if any annotation says so, crowd regions (iscrowd) included; images without
        annotations are pure background. Classes are the categories in the order of their ids. Image names
        are relative to `settings.images`, else to whichever folder beside the file holds most of them. Masks
        come from the folder `settings.masks`, if it is set. The images of a file without "annotations"
        (image_info_test2017.json) are unlabelled.

        Args:
            path: the JSON file, or a folder with several.
            settings: as for every reader.
            split: file in that folder (or beside that file), as "train2017", "instances_train2017", or
                "train" where only one fits; by default the file given, train's, or the only one.

        Raises:
            DataError: every fatal problem, with file and position in it.
        """
        problems = Problems()
        chosen, file = _choose(path, split)
        content = _read_json(file)
        root = _root(path)
        names = _categories(content["categories"], file, problems)
        listed = _images(content["images"], file, problems)
        labels = (
            _labels(content["annotations"], listed, names, file, problems) if "annotations" in content else {}
        )
        candidates = [root / "images" / chosen, root / chosen, root / "images", file.parent, root]
        images = images_folder(settings.images, candidates, (image.name for image in listed.values()))
        entries = []
        for id, image in listed.items():
            located = locate(images, image.name, image.source, problems)
            if located is not None:
                entries.append(Entry(*located, labels.get(id), image.source))
        declared = tuple(names.values())
        if settings.classes is not None:
            declared = declared_classes(root, settings, problems) or ()
        return assemble(
            entries,
            origin=Origin("coco", path, root, chosen, images.root),
            classes=Classes(declared, declared=True),
            settings=settings,
            labels_from=categories_in(file.name, outlined=_are_outlined(content)),
            problems=problems,
        )


@dataclass(frozen=True)
class _Image:
    """One image of the file: its name, and its position for messages."""

    name: str
    source: str


def _annotation_files(folder: Path) -> dict[str, Path]:
    """Annotation files by split: COCO's names without "instances_", Roboflow's by their folder."""
    files = [*folder.glob("annotations/*.json"), *folder.glob("instances_*.json")]
    named = {_split_name(file.stem): file for file in sorted(files) if not OTHER_TASKS.match(file.stem)}
    per_folder = {file.parent.name: file for file in sorted(folder.glob(f"*/{ROBOFLOW_FILE}"))}
    alone = [file for file in (folder / ROBOFLOW_FILE, folder / "annotations.json") if file.is_file()]
    return named or per_folder or {file.stem: file for file in alone[:1]}


def _choose(path: Path, asked: str | None) -> tuple[str, Path]:
    """Name and file of the split to read; the year can be left out where one file fits."""
    if path.is_file() and asked is None:
        return _split_name(path.stem), path
    root = _root(path)
    files = _annotation_files(root)
    if not files:
        raise DataError(
            f"{path}: has no COCO annotations beside it; expected annotations/instances_<split>.json."
        )
    if asked is not None:
        asked = _split_name(asked)
        shortened = [name for name in files if name.rstrip("0123456789_-") == asked]
        if asked not in files and len(shortened) == 1:
            asked = shortened[0]
    train = [name for name in files if name.startswith("train")]
    certain = [names[0] for names in (train, list(files)) if len(names) == 1]
    chosen = choose_split(path, asked, files, default=certain)
    if chosen is None:
        raise DataError(f"{path}: has several annotation files; name a split: {', '.join(files)}.")
    return chosen, files[chosen]


def _split_name(stem: str) -> str:
    """COCO's file names without the task: "train2017" of "instances_train2017"."""
    return re.sub(r"^(instances|image_info)_", "", stem)


def _root(path: Path) -> Path:
    """Folder of the data set: the one above annotations/ where the file itself was given."""
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == "annotations" else path.parent


def _read_json(file: Path) -> dict[str, list[Any]]:
    try:
        content: Any = parse_json(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: is incomplete or damaged JSON ({error.msg}).") from None
    except ValueError as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}).") from None
    lists: dict[str, Any] = {"annotations": [], **content} if isinstance(content, dict) else {}
    if not all(isinstance(lists.get(key), list) for key in ("images", "annotations", "categories")):
        raise DataError(f"{file}: is not a COCO file; expected the lists images, annotations and categories.")
    return {key: content[key] for key in ("images", "annotations", "categories") if key in content}


def _categories(categories: Sequence[Any], file: Path, problems: Problems) -> dict[Any, str]:
    """Names by category id, in the order of the ids."""
    names: dict[int, str] = {}
    for index, category in enumerate(categories):
        source = f"{file}: categories[{index}]"
        id, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
        if not isinstance(id, int) or not isinstance(name, str) or not name.strip():
            problems.fatal(
                "coco_category", f"{source}: needs a whole-number id and a name, got {category!r:.80}."
            )
        elif id in names or name.strip() in names.values():
            problems.fatal("coco_category", f"{source}: id {id} or name {name!r} appears twice; rename one.")
        else:
            names[id] = name.strip()
    return dict(sorted(names.items()))


def _images(images: Sequence[Any], file: Path, problems: Problems) -> dict[Any, _Image]:
    """Images by id, in the order of the file."""
    listed: dict[Any, _Image] = {}
    for index, image in enumerate(images):
        source = f"{file}: images[{index}]"
        id, name = (image.get("id"), image.get("file_name")) if isinstance(image, dict) else (None, None)
        if not _is_id(id) or not isinstance(name, str):
            problems.fatal("coco_image", f"{source}: needs an id and a file_name, got {image!r:.80}.")
        elif id in listed:
            problems.fatal("coco_image", f"{source}: id {id!r} appears twice; give each image its own.")
        else:
            listed[id] = _Image(name, source)
    return listed


def _labels(
    annotations: Sequence[Any],
    images: Mapping[Any, _Image],
    names: Mapping[Any, str],
    file: Path,
    problems: Problems,
) -> dict[Any, tuple[str, ...]]:
    """Class names by image id, each once; an image without annotations has none."""
    found: dict[Any, dict[str, None]] = {id: {} for id in images}
    for index, annotation in enumerate(annotations):
        source = f"{file}: annotations[{index}]"
        if not isinstance(annotation, dict):
            problems.fatal("coco_annotation", f"{source}: expected an object, got {annotation!r:.80}.")
            continue
        image, category = annotation.get("image_id"), annotation.get("category_id")
        if not _is_id(image) or image not in images:
            problems.fatal("coco_annotation", f"{source}: image_id {image!r} is not an id in images.")
        elif not _is_id(category) or category not in names:
            problems.fatal(
                "coco_annotation", f"{source}: category_id {category!r} is not an id in categories."
            )
        else:
            found[image][names[category]] = None
    return {id: tuple(labels) for id, labels in found.items()}


def _are_outlined(content: Mapping[str, Sequence[Any]]) -> bool:
    """Whether any object has a polygon or a mask; neither is read."""
    annotations = content.get("annotations", ())
    return any(isinstance(item, dict) and bool(item.get("segmentation")) for item in annotations)


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)
