"""The data set that a run's results are about: noted, opened again, and compared with what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from swtformer.datasets.records import ImageSet
from swtformer.datasets.registry import open_dataset
from swtformer.store.files import write_text
from swtformer.store.known_data import data_of
from swtformer.store.notes import DataNotes
from swtformer.store.run import Run

NAMED = 5
"""Images that a message names."""


def notes_of(data: ImageSet) -> dict[str, Any]:
    """Fields of `DataNotes`: all that opening the same set again takes."""
    opened = data.opened
    return {
        "data": data.root.resolve() if opened is None else opened.path,
        "split": data.split,
        "data_name": data.name,
        "data_settings": opened and opened.settings,
        "reader": {} if opened is None else opened.reader,
    }


def open_data_of(run: Run, made_for: DataNotes) -> ImageSet:
    """Open the images that a result of a run is about, as they were opened for it.

    Args:
        run: the run.
        made_for: notes of the result.

    Raises:
        SwtformerError: the run does not know its data set, or it is no longer there.
        DataError: it cannot be opened.
    """
    path, settings = data_of(run, None, made_for)
    return open_dataset(path, settings.data, reader=settings.reader)


def write_labels(run: Run, data: ImageSet) -> None:
    """Note the ids and labels that a run is trained on, so that later changes can be named."""
    lines = (json.dumps([id, labels]) for id, labels in _labels(data).items())
    write_text(run.labels_file, "".join(f"{line}\n" for line in lines))


def changes_since_training(run: Run, data: ImageSet) -> list[str]:
    """What has been added, removed or labelled differently since a run was trained, in words.

    Args:
        run: a run; without its list of labels nothing is known to have changed.
        data: the set as it is now.
    """
    if not run.labels_file.is_file():
        return []
    lines = run.labels_file.read_text(encoding="utf-8").splitlines()
    before: dict[str, list[str] | None] = dict(map(json.loads, lines))
    now = _labels(data)
    relabelled = [
        f"{id}: {_named(before[id])} → {_named(labels)}"
        for id, labels in now.items()
        if id in before and before[id] != labels
    ]
    return [
        *_counted("added", [id for id in now if id not in before]),
        *_counted("removed", [id for id in before if id not in now]),
        *_counted("labelled differently", relabelled),
    ]


def _labels(data: ImageSet) -> dict[str, list[str] | None]:
    """Class names by image id; None where they are not known."""
    return {
        record.id: None if record.present is None else [data.classes[index] for index in record.present]
        for record in data.records
    }


def _named(labels: Sequence[str] | None) -> str:
    return "unknown" if labels is None else "; ".join(labels) or "no class"


def _counted(what: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    shown = ", ".join(items[:NAMED]) + (", …" if len(items) > NAMED else "")
    return [f"{len(items):,} image{'s were' if len(items) > 1 else ' was'} {what} ({shown})"]
