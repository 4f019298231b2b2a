"""Label Studio's exports as image-level labels: choices, or the labels of regions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from swtformer.datasets.annotations.json_files import beginning, choose_file, data_folder, find_files
from swtformer.datasets.annotations.label_studio_results import CHOICES, OUTLINES, Answer
from swtformer.datasets.annotations.label_studio_tasks import (
    TABLES,
    Annotation,
    Task,
    looks_like_tasks,
    read_tasks,
    table_holds_tasks,
)
from swtformer.datasets.annotations.references import Reference, find_images
from swtformer.datasets.assemble import Classes, Entry, Origin, assemble
from swtformer.datasets.background import is_background, is_nothing, warn_of_background
from swtformer.datasets.base import Reader
from swtformer.datasets.labels import declared_classes
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError
from swtformer.label_sources import categories_in
from swtformer.settings import READERS, DataSettings, Section

IMAGE_FOLDERS = ("images", "", "data", "upload", "media")


class LabelStudioSettings(Section):
    """Options of the Label Studio reader."""

    controls: tuple[str, ...] | None = None
    """Controls of the labelling interface (`from_name`) whose answers are the labels; by default the only
    choices, or all regions where there are no choices."""
    annotators: Literal["agree", "union", "newest"] = "agree"
    """Labels of an image that several people labelled differently: agree makes them unknown, union takes
    what anyone said, newest the last annotation. One marked as ground truth always counts alone."""
    empty: Literal["unknown", "background"] = "unknown"
    """What an annotation without any answer means: nothing is known, or no class is there."""
    image_field: str | None = None
    """Field of a task's data that holds the image; by default the only one that names image files."""


@READERS.register("label-studio")
class LabelStudioReader(Reader):
    """Tasks that were annotated in Label Studio."""

    settings_type = LabelStudioSettings
    expects = "Label Studio's export (JSON, JSON-MIN, CSV)"
    priority = 5  # its CSV is a table as well

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """An export by its beginning, or a folder with one."""
        return _is_export(path) if path.is_file() else bool(_exports(path))

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read an export.

        Labels are the choices, or the labels of brush strokes, polygons, boxes, ellipses and key points.
        Predictions and skipped (cancelled) annotations are never labels; without another annotation the
        labels of an image are unknown. The newest annotation of each annotator counts; what happens if they
        differ is the option `annotators`. Classes are those declared, else the labels found, sorted.

        Raises:
            DataError: every fatal problem.
        """
        problems = Problems()
        chosen, file = choose_file(path, split, {} if path.is_file() else _exports(path))
        folder = data_folder(file)
        tasks = read_tasks(file, self.options.image_field, problems)
        controls = self._controls(tasks, file)
        declared = declared_classes(folder, settings, problems)
        labels = _Labels(self.options, controls, declared)
        found = [labels.of(task) for task in tasks]
        labels.tell(tasks, file, problems)
        images = find_images(
            [Reference(task.image, task.source) for task in tasks],
            root=folder,
            beside=file.parent,
            candidates=[folder / name for name in IMAGE_FOLDERS],
            named=settings.images,
            problems=problems,
        )
        entries = [
            Entry(*located, own, task.source)
            for task, own, located in zip(tasks, found, images.images, strict=True)
            if located is not None
        ]
        names = tuple(sorted({name for own in found for name in own or ()}))
        return assemble(
            entries,
            origin=Origin("label-studio", path, folder, chosen, images.folder),
            classes=Classes(names if declared is None else declared, declared=declared is not None),
            settings=settings,
            labels_from=_source(labels.kinds, file.name),
            problems=problems,
        )

    def _controls(self, tasks: Sequence[Task], file: Path) -> frozenset[str]:
        """Names of the controls whose answers are labels.

        Raises:
            DataError: the options name none that is there, or several answers may be meant.
        """
        examples: dict[str, Answer] = {}
        for answer in _all_answers(tasks):
            examples.setdefault(answer.control, answer)
        named = self.options.controls
        if named is not None:
            unknown = [name for name in named if name not in examples]
            if unknown:
                there = ", ".join(examples) or "none"
                raise DataError(
                    f"{file}: has no control {unknown[0]!r} (reader.controls); there are: {there}."
                )
            return frozenset(named)
        choices = [name for name, answer in examples.items() if answer.kind == CHOICES]
        if choices and len(examples) > 1:
            told = "; ".join(
                f"{name} ({', '.join(answer.labels[:3])} …)" for name, answer in examples.items()
            )
            raise DataError(
                f"{file}: has answers of several controls: {told}. Name those that are labels with "
                "reader.controls."
            )
        return frozenset(examples)


def _is_export(file: Path) -> bool:
    suffix = file.suffix.lower()
    return (
        table_holds_tasks(file)
        if suffix in TABLES
        else suffix == ".json" and looks_like_tasks(beginning(file))
    )


def _exports(folder: Path) -> dict[str, Path]:
    """Exports in a folder by the name of the file; none beside other labels."""
    tables = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in TABLES and file.is_file()]
    if len(tables) == 1 and table_holds_tasks(tables[0]):
        return {tables[0].stem: tables[0]}
    return find_files(folder, looks_like_tasks)


def _all_answers(tasks: Sequence[Task]) -> Iterator[Answer]:
    return (answer for task in tasks for annotation in task.annotations for answer in annotation.answers)


def _source(kinds: frozenset[str], file: str) -> str:
    """Where the labels come from, in words."""
    return f"choices in {file}" if CHOICES in kinds else categories_in(file, outlined=bool(kinds & OUTLINES))


class _Labels:
    """Labels of tasks, with counts of what has to be said about them."""

    def __init__(
        self, options: LabelStudioSettings, controls: frozenset[str], declared: Sequence[str] | None
    ) -> None:
        self._options = options
        self._controls = controls
        self._declared = declared
        self._kinds: set[str] = set()
        self._nothing: dict[str, None] = {}
        self._differing: list[str] = []
        self._unknown = 0

    @property
    def kinds(self) -> frozenset[str]:
        """Types of the answers that were used."""
        return frozenset(self._kinds)

    def of(self, task: Task) -> tuple[str, ...] | None:
        """Class names of a task; None where they are not known."""
        votes = [vote for vote in map(self._vote, _valid(task)) if vote is not None]
        if not votes:
            self._unknown += 1
            return None
        if any(set(vote) != set(votes[0]) for vote in votes):
            self._differing.append(task.source)
            if self._options.annotators == "agree":
                return None
        used = votes[-1:] if self._options.annotators == "newest" else votes
        return tuple(dict.fromkeys(name for vote in used for name in vote))

    def _vote(self, annotation: Annotation) -> tuple[str, ...] | None:
        """Classes that an annotation names; None if it says nothing."""
        used = [answer for answer in annotation.answers if answer.control in self._controls]
        self._kinds.update(answer.kind for answer in used)
        names = [name for answer in used for name in answer.labels]
        if not names and self._options.empty == "unknown":
            return None
        nothing = [name for answer in used for name in answer.labels if self._is_nothing(name, answer.kind)]
        self._nothing.update(dict.fromkeys(nothing))
        return tuple(name for name in names if name not in nothing)

    def _is_nothing(self, name: str, kind: str) -> bool:
        """Whether an answer means no class: drawn objects may be called "normal"."""
        return is_nothing(name, self._declared) if kind == CHOICES else is_background(name)

    def tell(self, tasks: Sequence[Task], file: Path, problems: Problems) -> None:
        """Say what was decided; a file without any label is a fatal problem."""
        warn_of_background(self._nothing, str(file), problems)
        if self._differing:
            outcome: Mapping[str, str] = {
                "agree": "their labels are unknown (reader.annotators union or newest decides otherwise)",
                "union": "what anyone said was taken",
                "newest": "the last annotation was taken",
            }
            problems.warn(
                "annotators_differ",
                f"{self._differing[0]}: annotators differ in {len(self._differing)} of {len(tasks)} tasks; "
                f"{outcome[self._options.annotators]}.",
            )
        if tasks and self._unknown == len(tasks):
            problems.fatal(
                "no_labels",
                f"{file}: no task of {len(tasks)} has an annotation with labels. Predictions and skipped "
                "tasks are never taken as labels; submit the annotations and export again.",
            )
        elif self._unknown:
            problems.warn(
                "not_annotated",
                f"{file}: {self._unknown} of {len(tasks)} tasks have no annotation with labels (skipped, "
                "empty, or predictions alone); the labels of their images are unknown.",
            )


def _valid(task: Task) -> list[Annotation]:
    """The ground truth of a task alone, else the newest annotation of each annotator, the newest last."""
    truths = [annotation for annotation in task.annotations if annotation.is_truth]
    ordered = sorted(truths or task.annotations, key=lambda annotation: annotation.when)
    known = {annotation.annotator: annotation for annotation in ordered if annotation.annotator}
    return [
        annotation
        for annotation in ordered
        if not annotation.annotator or annotation is known[annotation.annotator]
    ]
