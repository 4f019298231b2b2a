"""PASCAL VOC's folders: JPEGImages, lists in ImageSets, boxes in Annotations, masks in SegmentationClass."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from swtformer.datasets.annotations.voc_class_lists import (
    ClassLists,
    class_and_split,
    is_class_list,
    read_class_lists,
)
from swtformer.datasets.annotations.voc_objects import read_objects
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, warn_of_background
from swtformer.datasets.base import Reader
from swtformer.datasets.files import files_below
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.mask_colours import MaskColours, read_colours
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.paths import images_folder, is_image_name, locate, record_id
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import read_lines
from swtformer.datasets.splits import choose_split
from swtformer.datasets.tables.table_labels import read_label_table
from swtformer.errors import DataError
from swtformer.label_sources import are_of_masks, counted, masks_in
from swtformer.label_values import IGNORED, values_in
from swtformer.safe_names import safe_name
from swtformer.settings import READERS, DataSettings

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""VOC's 20 classes in the order of their mask values 1-20."""

LIST_FOLDERS = ("Segmentation", "SegmentationAug", "Main", "")
"""Folders in ImageSets that hold lists; where several hold a list of one name, the first counts."""

MASK_FOLDERS = ("SegmentationClass", "SegmentationClassAug")
"""VOC's own masks and SBD's; where an image has both, VOC's is used."""

DEFAULT_SPLITS = ("trainaug", "train_aug", "train")

_TWO_PATHS = re.compile(r"/?(JPEGImages/\S.*?\.\w+)\s+/?(\S.*\.png)", re.IGNORECASE)


@READERS.register("voc")
class VocReader(Reader):
    """Folders in PASCAL VOC's layout."""

    expects = "a VOC folder (JPEGImages, ImageSets)"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder (or the VOCdevkit above it) with JPEGImages and one of VOC's other folders."""
        return path.is_dir() and _find_root(path) is not None

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read one list of a data set in VOC's layout; without any list, all its images.

        Image-level labels come from the first source that has the image, and `labels_from` counts them:
        labels.csv beside JPEGImages; the boxes of Annotations/<id>.xml, difficult and truncated ones
        included; lists of one class (ImageSets/Main/cat_train.txt); the classes in its mask, with a warning.
        Otherwise the image is unlabelled. Classes are those declared, else VOC's 20 if all label names are
        VOC's and there are lists or masks, else the names found, sorted. Where there are no lists but those
        of one class each, these are the splits as well.

        Raises:
            DataError: every fatal problem, with file and line.
        """
        root = _find_root(path)
        if root is None:
            raise DataError(
                f"{path}: is not a VOC folder; expected JPEGImages beside ImageSets or Annotations."
            )
        problems = Problems()
        images = images_folder(settings.images, [root / "JPEGImages"], ())
        lists, class_lists = _lists(root)
        declared = declared_classes(root, settings, problems)
        labels = _Labels(
            root, declared, class_lists, problems, palette=settings.palette, are_splits=not lists
        )
        splits = lists or labels.of_lists.splits
        chosen = choose_split(path, split, splits, default=DEFAULT_SPLITS)
        if chosen is None and splits:
            raise DataError(
                f"{path}: has no list {' or '.join(DEFAULT_SPLITS)}; name one: {', '.join(splits)}."
            )
        if chosen is None:
            lines = _unlisted(images.root, problems)
        elif lists:
            lines = _listed(lists[chosen])
        else:
            lines = [_Line(name, None, source) for name, source in labels.of_lists.splits[chosen]]
        entries = []
        for line in lines:
            located = locate(images, line.name, line.source, problems)
            if located is not None:
                mask = _mask(root, line, located[0], problems)
                entries.append(Entry(*located, labels.of(located[0], mask), line.source, mask))
        if declared and declared != VOC_CLASSES and set(declared) <= set(VOC_CLASSES):
            _warn_about_masks(entries, declared, problems)
        labels_from = counted(labels.sources)
        if are_of_masks(labels_from):
            message = (
                f"image labels are read from drawn masks, as they are nowhere else ({labels_from}), so that "
                "training uses that much of the masks. A labels.csv beside JPEGImages takes precedence."
            )
            problems.warn("labels_from_masks", message)
        return assemble(
            entries,
            origin=Origin("voc", path, root, chosen, images.root),
            classes=labels.classes(),
            settings=settings,
            labels_from=labels_from,
            problems=problems,
        )


def _find_root(path: Path) -> Path | None:
    """The folder that holds JPEGImages: `path`, or the only VOC20xx below it."""
    nested = [*path.glob("VOC20*"), *path.glob("VOCdevkit/VOC20*")]
    for root in [path, *(nested if len(nested) == 1 else [])]:
        others = ("ImageSets", "Annotations", *MASK_FOLDERS)
        if (root / "JPEGImages").is_dir() and any((root / name).is_dir() for name in others):
            return root
    return None


def _lists(root: Path) -> tuple[dict[str, Path], list[Path]]:
    """Lists by name, a second list of one name being called "Main/train"; and the lists of one class."""
    lists: dict[str, Path] = {}
    of_classes = []
    for folder in LIST_FOLDERS:
        for file in sorted((root / "ImageSets" / folder).glob("*.txt")):
            if is_class_list(file):
                of_classes.append(file)
            else:
                lists.setdefault(file.stem if file.stem not in lists else f"{folder}/{file.stem}", file)
    return lists, of_classes


@dataclass(frozen=True)
class _Line:
    """One line of a list: image name, the mask that it names beside it, and file:line."""

    name: str
    mask: str | None
    source: str


def _listed(file: Path) -> Iterable[_Line]:
    for number, text in read_lines(file):
        pair = _TWO_PATHS.fullmatch(text)
        name = pair[1] if pair else text
        yield _Line(re.sub(r"^/?JPEGImages/", "", name), pair[2] if pair else None, f"{file}:{number}")


def _unlisted(images: Path, problems: Problems) -> Iterable[_Line]:
    for name in files_below(images, problems) if images.is_dir() else []:
        if is_image_name(name.rpartition("/")[2]):
            yield _Line(name, None, str(images / name))


def _mask(root: Path, line: _Line, id: str, problems: Problems) -> Path | None:
    if line.mask is not None:
        try:
            named = root / safe_name(line.mask)
        except ValueError as error:
            problems.fatal("unsafe_name", f"{line.source}: mask: {error}.")
            return None
        if named.is_file():
            return named
        problems.warn(
            "missing_mask", f"{line.source}: mask {line.mask!r} is missing; the image is not scored."
        )
        return None
    paths = (root / folder / f"{id}.png" for folder in MASK_FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def _warn_about_masks(entries: Iterable[Entry], declared: tuple[str, ...], problems: Problems) -> None:
    """VOC's masks number VOC's classes, which a shorter or reordered class list would misread."""
    if any(entry.mask for entry in entries):
        order = ", ".join(f"{index}={name}" for index, name in enumerate(declared, start=1))
        message = (
            f"mask values are read as {order}, which is not VOC's order. Unless the masks are numbered like "
            "that, leave `data.classes` out and choose classes with `evaluate.score_classes`."
        )
        problems.warn("class_order", message)


class _Labels:
    """Image-level labels of a VOC folder, from the first source that knows an image.

    Attributes:
        sources: number of images that each source was used for.
    """

    def __init__(
        self,
        root: Path,
        declared: tuple[str, ...] | None,
        class_lists: Sequence[Path],
        problems: Problems,
        *,
        palette: Path | None,
        are_splits: bool,
    ) -> None:
        self._root = root
        self._palette = palette
        self._mask_values: set[int] = set()
        self._are_splits = are_splits
        self._class_lists = class_lists
        self._declared = declared
        self._problems = problems
        self._table = self._read_table(root / "labels.csv")
        self._found: set[str] = {name for labels in self._table.values() for name in labels}
        self.sources: Counter[str] = Counter()
        self._boxes: dict[Path, tuple[str, ...] | None] = {}
        self._background: dict[str, None] = {}

    def _read_table(self, path: Path) -> Mapping[str, tuple[str, ...]]:
        if not path.is_file():
            return {}
        table = read_label_table(path, declared=self._declared or VOC_CLASSES, problems=self._problems)
        labels: dict[str, tuple[str, ...]] = {}
        for row in table.rows:
            id = record_id(row.name)
            known = labels.setdefault(id, row.labels or ())
            if set(known) != set(row.labels or ()):
                message = (
                    f"{row.source}: {row.name!r} has other labels than in an earlier row; keep one of them."
                )
                self._problems.fatal("conflicting_labels", message, id=id)
        return labels

    @cached_property
    def of_lists(self) -> ClassLists:
        """The lists of one class; read where nothing else says what an image shows."""
        listed = {class_and_split(file)[0] for file in self._class_lists}
        # The values of masks are taken for VOC's where no order of the classes is declared.
        masks_say = bool(self._declared) or listed <= set(VOC_CLASSES)
        has_masks = any((self._root / name).is_dir() for name in MASK_FOLDERS)
        others = self._table or (self._root / "Annotations").is_dir() or (has_masks and masks_say)
        return read_class_lists(
            self._class_lists,
            self._declared,
            self._problems,
            must_be_complete=self._are_splits or not others,
        )

    def of(self, id: str, mask: Path | None) -> tuple[str, ...] | None:
        """Labels of one image; None where no source knows it."""
        labels, source = self._table.get(id), "labels.csv"
        if labels is None:
            labels, source = self._in_boxes(self._root / "Annotations" / f"{id}.xml"), "Annotations boxes"
        if labels is None:
            labels, source = self.of_lists.labels.get(id), "lists of one class"
        if labels is None and mask is not None:
            labels, source = self._in_mask(mask), masks_in(mask.relative_to(self._root).parts[0])
        if labels is None:
            return None
        self.sources[source] += 1
        self._found.update(labels)
        return labels

    def _in_boxes(self, file: Path) -> tuple[str, ...] | None:
        if file not in self._boxes:
            self._boxes[file] = self._read_boxes(file)
        return self._boxes[file]

    def _read_boxes(self, file: Path) -> tuple[str, ...] | None:
        if not file.exists():
            return None
        names = read_objects(file, self._problems)
        if names is None:
            return None
        self._background.update(dict.fromkeys(filter(is_background, names)))
        return tuple(name for name in names if not is_background(name))

    @cached_property
    def _colours(self) -> MaskColours | None:
        """What the colours of masks mean; read where masks tell the labels."""
        return None if self._palette is None else read_colours(self._palette, self._declared or VOC_CLASSES)

    def _in_mask(self, file: Path) -> tuple[str, ...] | None:
        try:
            foreground = [value for value in values_in(read_mask(file, self._colours)) if 0 < value < IGNORED]
        except DataError as error:
            self._problems.fatal("mask", str(error))
            return None
        self._mask_values.update(foreground)
        names = self._declared or VOC_CLASSES
        if foreground and foreground[-1] > len(names):
            message = (
                f"{file}: holds the value {foreground[-1]}, but there are {len(names)} classes; declare them."
            )
            self._problems.fatal("mask", message)
            return None
        return tuple(names[value - 1] for value in foreground)

    def classes(self) -> Classes:
        """Class names; the same for every list of the folder."""
        warn_of_background(self._background, str(self._root / "Annotations"), self._problems)
        if self._declared is None and self._mask_values == {1}:
            message = (
                f"all masks hold the value 1 alone, which is {VOC_CLASSES[0]}; declare the classes if not."
            )
            self._problems.warn("class_order", message)
        if self._declared is not None:
            return Classes(self._declared, declared=True)
        has_masks = any((self._root / name).is_dir() for name in MASK_FOLDERS)
        listed = {class_and_split(file)[0] for file in self._class_lists}
        if listed and not (has_masks or self._table or (self._root / "Annotations").is_dir()):
            return Classes(tuple(sorted(listed)), declared=True)
        self._found |= listed
        is_like_voc = has_masks or (self._root / "ImageSets").is_dir()
        if is_like_voc and self._found <= set(VOC_CLASSES):
            return Classes(VOC_CLASSES, declared=True)
        for file in sorted((self._root / "Annotations").rglob("*.xml")):
            self._found.update(self._in_boxes(file) or ())
        return Classes(tuple(sorted(self._found)), declared=False)
