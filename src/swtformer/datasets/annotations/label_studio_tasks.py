"""Tasks of Label Studio's exports (JSON, JSON-MIN, CSV): which image, and what each annotator said."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from swtformer.datasets.annotations.json_files import looks_like, read_json
from swtformer.datasets.annotations.label_studio_results import Answer, cell_answers, json_answers, merged
from swtformer.datasets.paths import IMAGE_EXTENSIONS, listed_path
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import parse_json, read_text
from swtformer.errors import DataError

TABLES = frozenset({".csv", ".tsv"})
_ABOUT = frozenset(
    {
        "id",
        "annotator",
        "annotation_id",
        "created_at",
        "updated_at",
        "lead_time",
        "agreement",
        "comments",
        "file_upload",
    }
)
"""Columns of JSON-MIN and CSV that Label Studio adds."""
_USUAL_CONTROLS = frozenset({"choice", "choices", "label", "labels", "class", "classes", "tag", "tags"})


@dataclass(frozen=True)
class Annotation:
    """What one annotator submitted.

    Attributes:
        annotator: who; "" where it is not known.
        when: time of the last change, comparable as text.
        is_truth: whether it was marked as ground truth.
        answers: what it says; nothing where it is empty.
    """

    annotator: str
    when: str
    is_truth: bool
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Task:
    """One image to label.

    Attributes:
        source: file and task, for messages.
        image: reference to the image.
        annotations: those submitted; skipped (cancelled) ones are left out.
    """

    source: str
    image: str
    annotations: tuple[Annotation, ...]


def looks_like_tasks(value: Any) -> bool:
    """Whether a JSON value, or what is known of its beginning, is an export of Label Studio."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return False
    own = first.get("annotations", first.get("completions"))
    if isinstance(own, list) and (isinstance(first.get("data"), dict) or not own or _is_annotation(own[0])):
        return "id" in first or "data" in first
    return _is_row(first, least=2)


def _is_annotation(value: Any) -> bool:
    return isinstance(value, dict) and ("result" in value or "was_cancelled" in value)


def _is_row(names: Collection[str], *, least: int) -> bool:
    """Whether names are the columns of JSON-MIN or CSV: with so many that Label Studio adds."""
    return {"id", "annotator"} <= set(names) and len(_ABOUT.intersection(names)) >= least


def table_holds_tasks(file: Path) -> bool:
    """Whether a CSV or TSV file is an export of Label Studio, by its header."""
    try:
        with file.open("rb") as stream:
            header = stream.read(1 << 16).decode("utf-8-sig", errors="ignore").splitlines()[:1]
    except OSError:
        return False
    return bool(header) and _is_row(next(csv.reader(header, delimiter=_delimiter(file)), []), least=3)


def read_tasks(file: Path, image_field: str | None, problems: Problems) -> list[Task]:
    """Read an export.

    Args:
        file: JSON, JSON-MIN, CSV or TSV.
        image_field: name of the field of the images; None where it is to be found.
        problems: collects what is wrong with single tasks.

    Raises:
        DataError: it is not an export of Label Studio, or does not tell which field holds the images.
    """
    if file.suffix.lower() in TABLES:
        return _tasks_of_rows(file, list(_table(file)), image_field, problems)
    content = read_json(file)
    if content == [] or not looks_like_tasks(content) or not all(isinstance(item, dict) for item in content):
        raise DataError(
            f"{file}: is not an export of Label Studio; expected a list of tasks, got {looks_like(content)}."
        )
    if _is_row(content[0], least=2):
        return _tasks_of_rows(file, content, image_field, problems)
    data = [item["data"] if isinstance(item.get("data"), dict) else {} for item in content]
    field = _image_field(file, data, image_field)
    tasks = []
    faults = []
    for index, (item, fields) in enumerate(zip(content, data, strict=True)):
        source = f"{file}: task {item.get('id', index + 1)}"
        submitted = item.get("annotations", item.get("completions", []))
        image = fields.get(field)
        if not isinstance(image, str) or not isinstance(submitted, list):
            faults.append(f"{source}: needs an image in data.{field} and a list of annotations.")
            continue
        valid = [part for part in submitted if isinstance(part, dict) and not part.get("was_cancelled")]
        tasks.append(Task(source, image, tuple(map(_annotation, valid))))
    problems.fatal_once("label_studio_task", faults)
    return tasks


def _annotation(fields: Mapping[str, Any]) -> Annotation:
    who = fields.get("completed_by")
    result = fields.get("result")
    return Annotation(
        annotator=str(who.get("id", who.get("email", ""))) if isinstance(who, dict) else str(who or ""),
        when=str(fields.get("updated_at") or fields.get("created_at") or ""),
        is_truth=fields.get("ground_truth") is True,
        answers=merged(json_answers(result if isinstance(result, list) else [])),
    )


def _table(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of a CSV export; cells that hold JSON are parsed."""
    text = read_text(file)
    limit = csv.field_size_limit(max(len(text), 1))  # a cell may hold the strokes of a brush
    try:
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(file)):
            yield {name: _cell(value) for name, value in row.items() if name is not None and value}
    except csv.Error as error:
        raise DataError(f"{file}: cannot be read as CSV ({error}); check the quotes.") from None
    finally:
        csv.field_size_limit(limit)


def _cell(text: str) -> Any:
    if text[:1] not in "[{":
        return text
    try:
        return parse_json(text)
    except ValueError:
        return text


def _delimiter(file: Path) -> str:
    return "\t" if file.suffix.lower() == ".tsv" else ","


def _tasks_of_rows(
    file: Path, rows: Sequence[Mapping[str, Any]], image_field: str | None, problems: Problems
) -> list[Task]:
    """Tasks of JSON-MIN or CSV, which have one row per annotation."""
    field = _image_field(file, rows, image_field)
    controls = _controls(file, rows, field, problems)
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_task[str(row.get("id", f"row {index + 1}"))].append(row)
    tasks = []
    for id, own in by_task.items():
        annotations = [
            Annotation(
                annotator=str(row.get("annotator", "")),
                when=str(row.get("updated_at", "")),
                is_truth=False,
                answers=merged(
                    answer for name in controls for answer in cell_answers(name, row.get(name), texts=True)
                ),
            )
            for row in own
        ]
        tasks.append(Task(f"{file}: task {id}", str(own[0].get(field, "")), tuple(annotations)))
    return tasks


def _controls(
    file: Path, rows: Sequence[Mapping[str, Any]], image_field: str, problems: Problems
) -> list[str]:
    """Columns that hold answers: those with choices or regions, else the only one with text.

    Raises:
        DataError: there are several columns of text that may hold answers.
    """
    columns = dict.fromkeys(name for row in rows for name in row)
    sure = [
        name for name in columns if any(any(cell_answers(name, row.get(name), texts=False)) for row in rows)
    ]
    texts = [
        name
        for name in columns
        if name not in (*sure, *_ABOUT, image_field) and any(isinstance(row.get(name), str) for row in rows)
    ]
    told = ", ".join(texts)
    if sure:
        if texts:
            problems.warn("ignored_column", f"{file}: columns that are taken to be no labels: {told}.")
        return sure
    usual = [name for name in texts if name.lower() in _USUAL_CONTROLS]
    found = usual if len(texts) > 1 else texts
    if len(found) > 1 or (texts and not found):
        raise DataError(
            f"{file}: does not tell which of the columns {told} holds the choices; export as JSON, neither "
            "JSON-MIN nor CSV."
        )
    if len(texts) > 1:
        problems.warn("ignored_column", f"{file}: of the columns {told}, {found[0]} is taken as the labels.")
    return found


def _image_field(file: Path, rows: Sequence[Mapping[str, Any]], named: str | None) -> str:
    """The field that holds the references to the images.

    Raises:
        DataError: there is none, or several fields may do.
    """
    fields = dict.fromkeys(name for row in rows for name in row)
    if named is not None:
        if named not in fields:
            raise DataError(f"{file}: no task has the field {named!r}; there are: {', '.join(fields)}.")
        return named
    found = [name for name in fields if any(_is_image(row.get(name)) for row in rows[:50])]
    if len(found) > 1 and "image" in found:
        return "image"
    if len(found) != 1:
        told = ", ".join(found or fields) or "none"
        raise DataError(
            f"{file}: which field holds the images? Name one with reader.image_field; there are: {told}."
        )
    return found[0]


def _is_image(value: Any) -> bool:
    if not isinstance(value, str) or value.startswith("data:"):
        return False
    return PurePosixPath(listed_path(value)).suffix.lower() in IMAGE_EXTENSIONS
