"""Manifests of SageMaker Ground Truth: JSON Lines with numbers as labels, and their names beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swtformer.datasets.rows import Row, Rows

METADATA = "-metadata"
_LABELS = "labels"
_CONFIDENCES = frozenset({"confidence", "confidence-map"})


def with_class_names(table: Rows) -> Rows:
    """The table with a column of class names, if it is a manifest with one labelling job; else as it is.

    The column `job` holds a number, a list of numbers or objects with a class_id each, and `job-metadata` the
    "class-name", or the "class-map" of all numbers. Objects that the job did not label have neither, and
    their labels are unknown.
    """
    jobs = [name for name in table.columns if f"{name}{METADATA}" in table.columns]
    if len(jobs) != 1 or _LABELS in table.columns:
        return table
    (job,) = jobs
    rows, faults = [], []
    for row in table.rows:
        cells = {name: cell for name, cell in row.cells.items() if name not in (job, f"{job}{METADATA}")}
        try:
            if job in row.cells:
                cells[_LABELS] = _names(row.cells[job], row.cells[f"{job}{METADATA}"])
            rows.append(Row(row.line, cells))
        except (AttributeError, KeyError, TypeError):
            faults.append(f"{table.path}:{row.line}: {job + METADATA!r} does not name the class of {job!r}.")
    columns = [name for name in table.columns if name not in (job, f"{job}{METADATA}")]
    notes = [f"labels are those of {job!r}, by the names in {job + METADATA!r}"]
    if without := sum(_LABELS not in row.cells for row in rows):
        notes.append(f"{without} of {len(rows)} rows have no {job!r}, so their labels are unknown")
    if any(_has_confidence(row.cells.get(f"{job}{METADATA}")) for row in table.rows):
        notes.append("labels count whatever their confidence")
    return replace(
        table,
        columns=(*columns, _LABELS),
        rows=tuple(rows),
        faults=(*table.faults, *faults[:1]),
        notes=(*table.notes, *notes),
        unlabelled_without=_LABELS,
    )


def _has_confidence(metadata: Any) -> bool:
    """Whether a job says how sure it is: of an image, of each class, or of each object."""
    if not isinstance(metadata, dict):
        return False
    objects = metadata.get("objects")
    items = [metadata, *(objects if isinstance(objects, list) else ())]
    return any(isinstance(item, dict) and not _CONFIDENCES.isdisjoint(item) for item in items)


def _names(value: Any, metadata: Mapping[str, Any]) -> list[str]:
    """Class names of a label; raises KeyError and the like where they are not there."""
    if isinstance(value, dict):
        value = [item["class_id"] for item in value["annotations"]]
    if isinstance(value, list):
        return [metadata["class-map"][str(number)] for number in value]
    return [metadata["class-name"]]
