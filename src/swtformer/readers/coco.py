"""COCO's annotation JSON: image-level labels are the categories of an image's annotations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from swtformer.datasets.annotations.coco_categories import Id
from swtformer.datasets.annotations.coco_content import CocoContent, looks_like_coco, read_coco
from swtformer.datasets.annotations.json_files import (
    MAX_FILES,
    beginning,
    data_folder,
    find_files,
    has_other_labels,
    json_files,
)
from swtformer.datasets.annotations.references import find_images
from swtformer.datasets.annotations.sidecars import MEANINGS
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import choose_split
from swtformer.errors import DataError
from swtformer.label_sources import categories_in
from swtformer.settings import READERS, DataSettings, Section

ROBOFLOW_FILE = "_annotations.coco.json"
TASKS = re.compile(r"^(instances|image_info|captions|person_keypoints|stuff|panoptic)_")
"""Task in the name of a file in COCO's annotations folder."""
SPARE_TASKS = ("person_keypoints", "panoptic", "stuff")
"""Tasks whose files are read where there is none with instances, the first of them that is there."""


class CocoSettings(Section):
    """Options of the COCO reader."""

    strays: Literal["refuse", "drop"] = "refuse"
    """Annotations of images that the file does not list, while listed images have none: refuse the file, or
    drop the annotations; images without any are then as `empty` says."""
    empty: Literal["background", "unknown", "leave_out"] = "background"
    """What images without annotations are: of background only, as in COCO itself, of unknown labels, as
    nobody may have looked at them, or left out. Where that is most of the images, it has to be said."""


@READERS.register("coco")
class CocoReader(Reader):
    """COCO annotation files."""

    settings_type = CocoSettings
    expects = "COCO annotations (.json)"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A COCO file by its beginning, or a folder with such files where COCO's tools put them."""
        return looks_like_coco(beginning(path)) if path.is_file() else bool(_annotation_files(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one annotation file: instances, keypoints, panoptic segments or LVIS.

        A class is in an image if any annotation says so, crowd regions (iscrowd) and those marked `ignore`
        included. Images without annotations are pure background, unless the option `empty` says otherwise; if
        most are, it has to. Those with captions alone are unlabelled, and so are all in a file without
        "annotations" (image_info_test2017.json). Classes are the categories in the order of their ids,
        without those that mean background, a group without objects (Roboflow), and "ignored". Images are
        looked for in `settings.images`, else in whichever folder beside the file holds most of them (see
        `find_images`). Masks come from the folder `settings.masks`, if it is set.

        Args:
            path: the JSON file, or a folder with several.
            settings: as for every reader; its classes name the categories of a file that names none.
            split: file in that folder (or beside that file), as "train2017", "instances_train2017", or
                "train" where only one fits; by default the file given, train's, or the only one.

        Raises:
            DataError: every fatal problem, with file and position in it.
        """
        problems = Problems()
        chosen, file = _choose(path, split)
        root = path if path.is_dir() else data_folder(path)
        content = read_coco(file, settings.classes, problems, drop_strays=self.options.strays == "drop")
        labels = self._with_empty(content, file, problems)
        per_split = [root / "images" / chosen, root / chosen / "images", root / chosen, root / "images"]
        beside = [base / name for base in (file.parent, root) for name in ("images", "", "data")]
        found = find_images(
            list(content.images.values()),
            root=root,
            beside=file.parent,
            candidates=[*per_split, *beside],
            named=settings.images,
            problems=problems,
        )
        entries = [
            Entry(*located, labels.get(id), image.source)
            for (id, image), located in zip(content.images.items(), found.images, strict=True)
            if located is not None and not (self.options.empty == "leave_out" and id in content.without)
        ]
        declared = content.classes
        if settings.classes is not None:
            declared = declared_classes(root, settings, problems) or ()
        return assemble(
            entries,
            origin=Origin("coco", path, root, chosen, found.folder),
            classes=Classes(declared, declared=True),
            settings=settings,
            labels_from=categories_in(file.name, outlined=content.is_outlined),
            problems=problems,
        )

    def _with_empty(
        self, content: CocoContent, file: Path, problems: Problems
    ) -> dict[Id, tuple[str, ...] | None]:
        """Labels by image, those of images without annotations as the option `empty` says."""
        count, images = len(content.without), len(content.images)
        if count and count == images and self.options.empty == "leave_out":
            problems.fatal(
                "without_annotation",
                f"{file}: none of {images} images has an annotation, so `reader.empty` "
                "leave_out leaves no image.",
            )
            problems.raise_fatal(str(file))
        if count:
            is_doubtful = "empty" not in self.options.model_fields_set and 2 * count > images
            told = "set" if is_doubtful else f"{MEANINGS[self.options.empty]}. Set"
            first = content.images[next(iter(content.without))].name
            (problems.fatal if is_doubtful else problems.warn)(
                "without_annotation",
                f"{file}: {count} of {images} images have no annotation, {first} first; {told} "
                "`reader.empty` to background, unknown or leave_out.",
            )
        unknown = content.without if self.options.empty == "unknown" else ()
        return {**content.labels, **dict.fromkeys(unknown)}


def _annotation_files(folder: Path) -> dict[str, Path]:
    """Annotation files by split: COCO's names without the task, Roboflow's by their folder."""
    files = [*folder.glob("annotations/*.json"), *folder.glob("instances_*.json")]
    named = _of_one_task(sorted(file for file in files if file.is_file()))
    per_folder = {file.parent.name: file for file in sorted(folder.glob(f"*/{ROBOFLOW_FILE}"))}
    alone = [file for file in (folder / ROBOFLOW_FILE, folder / "annotations.json") if file.is_file()]
    return named or per_folder or {split_name(file): file for file in alone[:1]} or _loose_files(folder)


def _of_one_task(files: list[Path]) -> dict[str, Path]:
    """Files of instances or of no task in their names; else those of the first spare task."""
    tasks: dict[str, dict[str, Path]] = {}
    for file in files:
        task = TASKS.match(file.name)
        if task is not None or (len(files) <= MAX_FILES and _may_be_coco(file)):
            tasks.setdefault("" if task is None else task[1], {})[split_name(file)] = file
    named = {**tasks.get("instances", {}), **tasks.get("", {})}
    return named or next((tasks[task] for task in SPARE_TASKS if task in tasks), {})


def _may_be_coco(file: Path) -> bool:
    """Whether a file in COCO's annotations folder is one, or is damaged, which reading it will say."""
    value = beginning(file)
    return value is None or looks_like_coco(value)


def _loose_files(folder: Path) -> dict[str, Path]:
    """Files that are COCO's by their contents: beside the images, or one in each split's folder."""
    if has_other_labels(folder):
        return {}
    if beside := find_files(folder, looks_like_coco):
        return {split_name(file): file for file in beside.values()}
    per_folder = {}
    for child in sorted(folder.iterdir())[:MAX_FILES]:
        files = json_files(child) if child.is_dir() and not child.name.startswith(".") else []
        inside = [file for file in files if looks_like_coco(beginning(file))]
        if len(inside) == 1:
            per_folder[child.name] = inside[0]
    return per_folder


def _choose(path: Path, asked: str | None) -> tuple[str, Path]:
    """Name and file of the split to read; the year can be left out where one file fits."""
    files = _annotation_files(path if path.is_dir() else data_folder(path))
    if path.is_file():
        own = split_name(path)
        if asked is None or split_name(Path(asked)) == own:
            return own, path
        files = {**files, own: path}
    if not files:
        raise DataError(
            f"{path}: has no COCO annotations in it; expected annotations/instances_<split>.json."
        )
    if asked is not None:
        asked = split_name(Path(asked))
        shortened = [name for name in files if name.rstrip("0123456789_-") == asked]
        if asked not in files and len(shortened) == 1:
            asked = shortened[0]
    train = [name for name in files if name.startswith("train")]
    certain = [names[0] for names in (train, list(files)) if len(names) == 1]
    chosen = choose_split(path, asked, files, default=certain)
    if chosen is None:
        raise DataError(f"{path}: has several annotation files; name a split: {', '.join(files)}.")
    return chosen, files[chosen]


def split_name(file: Path) -> str:
    """What a file's split is called: its name without the task, or its folder's where all are named alike."""
    if file.name == ROBOFLOW_FILE:
        return file.absolute().parent.name
    return TASKS.sub("", file.name.removesuffix(".json"), count=1)
