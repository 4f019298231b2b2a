"""FiftyOne's exports as image-level labels: its classification labels.json, and samples.json of whole sets.

Its COCO exports are read as COCO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swtformer.datasets.annotations.json_files import (
    beginning,
    choose_file,
    data_folder,
    find_files,
    looks_like,
    read_json,
)
from swtformer.datasets.annotations.json_values import Item, read_labels
from swtformer.datasets.annotations.references import Reference, find_images
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, is_nothing, warn_of_background
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split, is_split
from swtformer.errors import DataError
from swtformer.label_sources import categories_in
from swtformer.settings import READERS, DataSettings, Section

GROUND_TRUTH = "ground_truth"
LISTS = {
    "Classification": None,
    "Classifications": "classifications",
    "Detection": None,
    "Detections": "detections",
    "Polyline": None,
    "Polylines": "polylines",
    "Keypoint": None,
    "Keypoints": "keypoints",
}
"""Kinds of labels with names, and the list that holds them; None where there is one label alone."""
WHOLE_IMAGE = "Classification"
"""What the kinds of labels of whole images, and no others, have in their names."""
IMAGE_FOLDERS = ("data", "", "images")


class FiftyOneSettings(Section):
    """Options of the FiftyOne reader."""

    field: str | None = None
    """Field of the samples that holds the labels; by default ground_truth, else the only one that has labels
    without confidence."""


@READERS.register("fiftyone")
class FiftyOneReader(Reader):
    """Data sets that FiftyOne exported."""

    settings_type = FiftyOneSettings
    expects = "FiftyOne's labels.json or samples.json"
    priority = -4  # before JSON of no tool

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """An export by its beginning, or a folder with one."""
        if path.is_file():
            return path.suffix.lower() == ".json" and _looks_exported(beginning(path))
        return bool(_exports(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read labels.json (FiftyOneImageClassificationDataset) or samples.json (FiftyOneDataset).

        Labels are the classes of an image, or those of its detections, polylines or key points. A sample
        whose field is null is unlabelled; one with an empty list has no class. Predictions, which have a
        confidence, are labels only if their field is named.

        Raises:
            DataError: every fatal problem.
        """
        problems = Problems()
        exports = {} if path.is_file() else _exports(path)
        chosen, file = choose_file(path, split if len(exports) > 1 else None, exports)
        folder = data_folder(file)
        value = read_json(file)
        if not _looks_exported(value):
            raise DataError(f"{file}: is not an export of FiftyOne but {looks_like(value)}.")
        declared = declared_classes(folder, settings, problems)
        if "samples" in value:
            field = self._field(value["samples"], file)
            listed = _of_samples(value["samples"], field, declared, file, problems)
        else:
            listed = _of_labels(value, declared, file, problems)
        if len(exports) < 2 and split not in exports:
            chosen = _split(path, split, listed.splits, file, problems)
            listed = listed.of_split(chosen)
        images = find_images(
            listed.references,
            root=folder,
            beside=file.parent,
            candidates=[folder / name for name in IMAGE_FOLDERS],
            named=settings.images,
            problems=problems,
        )
        entries = [
            Entry(*located, own, reference.source)
            for reference, own, located in zip(listed.references, listed.labels, images.images, strict=True)
            if located is not None
        ]
        return assemble(
            entries,
            origin=Origin("fiftyone", path, folder, chosen, images.folder),
            classes=listed.classes if declared is None else Classes(declared, declared=True),
            settings=settings,
            labels_from=listed.labels_from,
            problems=problems,
        )

    def _field(self, samples: Sequence[Any], file: Path) -> str:
        """The field that holds the labels.

        Raises:
            DataError: there is none, or several may be meant.
        """
        fields = {
            name: None
            for sample in _objects(samples)
            for name, value in sample.items()
            if _kind(value) is not None
        }
        told = ", ".join(fields) or "none"
        if self.options.field is not None:
            if self.options.field not in fields:
                raise DataError(f"{file}: no sample has labels in {self.options.field!r}; there are: {told}.")
            return str(self.options.field)
        if GROUND_TRUTH in fields:
            return GROUND_TRUTH
        sure = [name for name in fields if not _is_predicted(samples, name)]
        if len(sure) != 1:
            raise DataError(
                f"{file}: which field holds the labels? Name one with reader.field; there are: {told}. "
                "Fields with confidences are predictions."
            )
        return sure[0]


def _looks_exported(value: Any) -> bool:
    """Whether a JSON value, or what is known of its beginning, is an export of FiftyOne."""
    if not isinstance(value, dict):
        return False
    samples = value.get("samples")
    if isinstance(samples, list):
        return bool(samples) and isinstance(samples[0], dict) and "filepath" in samples[0]
    return set(value) == {"classes", "labels"} and isinstance(value["labels"], dict)


def _exports(folder: Path) -> dict[str, Path]:
    """Exports in a folder, by the name of the file; none beside other labels."""
    return find_files(folder, _looks_exported)


def _objects(samples: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (sample for sample in samples if isinstance(sample, dict))


def _kind(value: Any) -> str | None:
    """The kind of labels in the field of a sample; None where it holds none of the known kinds."""
    kind = value.get("_cls") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and kind in LISTS else None


def _labels_in(value: Any) -> list[Mapping[str, Any]] | None:
    """The labels in the field of a sample; None where it is null, or holds none of the known kinds."""
    kind = _kind(value)
    if kind is None:
        return None
    listed = LISTS[kind]
    found = [value] if listed is None else value.get(listed)
    return [label for label in found if isinstance(label, dict)] if isinstance(found, list) else None


def _is_predicted(samples: Sequence[Any], field: str) -> bool:
    labels = (label for sample in _objects(samples) for label in _labels_in(sample.get(field)) or ())
    return any(label.get("confidence") is not None for label in labels)


def _is_outlined(samples: Sequence[Any], field: str) -> bool:
    labels = (label for sample in _objects(samples) for label in _labels_in(sample.get(field)) or ())
    return any(label.get("mask") or label.get("mask_path") or label.get("points") for label in labels)


@dataclass(frozen=True)
class _Listed:
    """What an export lists.

    Attributes:
        references: images.
        labels: of each; None where they are unknown.
        classes: of all splits.
        labels_from: where the labels come from.
        splits: of each image, by its tags, None where it has none or several; empty for files without tags.
    """

    references: list[Reference]
    labels: list[tuple[str, ...] | None]
    classes: Classes
    labels_from: str
    splits: tuple[str | None, ...] = ()

    def of_split(self, chosen: str | None) -> _Listed:
        """The images of one split; all for None."""
        if chosen is None:
            return self
        kept = [place for place, split in enumerate(self.splits) if split == chosen]
        return replace(
            self,
            references=[self.references[place] for place in kept],
            labels=[self.labels[place] for place in kept],
        )


def _split(
    path: Path, asked: str | None, splits: Sequence[str | None], file: Path, problems: Problems
) -> str | None:
    """The split to read; None for all. Where only some samples have one, the others must not join them."""
    tagged = [split for split in splits if split is not None]
    if asked == ALL and tagged:
        return None
    if tagged and len(tagged) < len(splits):
        problems.fatal(
            "split",
            f"{file}: {len(tagged)} of {len(splits)} samples have one split tag; tag all, or read everything "
            "with data.split all.",
        )
        return None
    return choose_split(path, asked, tagged, default=("train",))


def _of_labels(
    value: Mapping[str, Any], declared: Sequence[str] | None, file: Path, problems: Problems
) -> _Listed:
    """The contents of labels.json, whose labels are numbers of its classes; without those, names."""
    listed = value["classes"]
    names = [str(name).strip() for name in listed] if isinstance(listed, list) else list(declared or ())
    items = [Item(name, own, f"{file}: labels[{name!r:.80}]") for name, own in value["labels"].items()]
    classes = dict(enumerate(names)) or None
    found = read_labels(
        items, classes=classes, declared=declared, threshold=None, where=str(file), problems=problems
    )
    order = tuple(name for name in names if not is_nothing(name, declared)) or found.names
    references = [Reference(item.name, item.source) for item in items]
    return _Listed(
        references, list(found.of), Classes(order, declared=bool(names)), f"classes in {file.name}"
    )


def _of_samples(
    samples: Sequence[Any], field: str, declared: Sequence[str] | None, file: Path, problems: Problems
) -> _Listed:
    """The contents of samples.json."""
    references = []
    found: list[tuple[str, ...] | None] = []
    tags: list[list[str]] = []
    faults = []
    nothing: list[str] = []
    for index, sample in enumerate(samples):
        source = f"{file}: samples[{index}]"
        path = sample.get("filepath") if isinstance(sample, dict) else None
        if not isinstance(path, str):
            faults.append(f"{source}: needs a filepath, got {sample!r:.80}.")
            continue
        references.append(Reference(path, source))
        own = sample.get("tags") if isinstance(sample.get("tags"), list) else []
        tags.append([tag for tag in own if isinstance(tag, str) and is_split(tag)])
        labels = _labels_in(sample.get(field))
        if labels is None:
            found.append(None)
            continue
        names = dict.fromkeys(str(label["label"]).strip() for label in labels if label.get("label"))
        is_whole = WHOLE_IMAGE in str(_kind(sample[field]))
        dropped = [
            name for name in names if (is_nothing(name, declared) if is_whole else is_background(name))
        ]
        nothing += dropped
        found.append(tuple(name for name in names if name not in dropped))
    problems.fatal_once("fiftyone_sample", faults)
    warn_of_background(nothing, str(file), problems)
    labels_from = f"{categories_in(file.name, outlined=_is_outlined(samples, field))} ({field})"
    classes = Classes(tuple(sorted({name for own in found for name in own or ()})), declared=False)
    splits = tuple(own[0] if len(own) == 1 else None for own in tags)
    return _Listed(references, found, classes, labels_from, splits)
