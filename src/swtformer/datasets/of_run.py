"""The data set that a run's results are about: noted, opened again, and compared with what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from swtformer.datasets.records import ImageSet
from swtformer.datasets.registry import open_dataset
from swtformer.errors import SwtformerError, some
from swtformer.store.files import checked, write_text
from swtformer.store.known_data import data_of
from swtformer.store.notes import DataNotes
from swtformer.store.run import Run

_Noted = tuple[str, list[str] | None, str | None]
"""Id, class names and group of an image of the training."""


def place_of(data: ImageSet) -> dict[str, Any]:
    """Fields of `DataNotes`: where a set lies, and how it was opened."""
    opened = data.opened
    return {
        "data": data.root.resolve() if opened is None else opened.path,
        "data_settings": opened and opened.settings,
        "reader": {} if opened is None else opened.reader,
    }


def notes_of(data: ImageSet) -> dict[str, Any]:
    """All fields of `DataNotes`."""
    return {**place_of(data), "split": data.split, "data_name": data.name}


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
    """Note the ids, labels and groups that a run is trained on, so that what differs later can be named."""
    labels = _labels(data)
    lines = (json.dumps([record.id, labels[record.id], record.group]) for record in data.records)
    write_text(run.labels_file, "".join(f"{line}\n" for line in lines))


def changes_since_training(run: Run, data: ImageSet) -> list[str]:
    """What has been added, removed or labelled differently since a run was trained, in words.

    Args:
        run: a run; without its list of labels nothing is known to have changed.
        data: the set as it is now.
    """
    if not run.labels_file.is_file():
        return []
    before = {id: labels for id, labels, _ in _noted(run)}
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


def groups_also_trained_on(run: Run, data: ImageSet) -> list[str]:
    """Groups that a run was trained on, of which a set shows other images; sorted, for messages.

    Scores of such images are not about new patients, slides or roads. A set of the very images that the run
    was trained on has none.
    """
    if not any(record.group for record in data.records) or not run.labels_file.is_file():
        return []
    trained = {id: group for id, _, group in _noted(run)}
    others = {record.group for record in data.records if record.id not in trained}
    return sorted(group for group in others & set(trained.values()) if group is not None)


def _noted(run: Run) -> list[_Noted]:
    """Ids, labels and groups that `write_labels` noted."""
    remedy = "Remove it: then changes since the training are not told."
    try:
        lines = [json.loads(line) for line in run.labels_file.read_bytes().splitlines()]
    except (ValueError, RecursionError) as error:
        raise SwtformerError(f"{run.labels_file}: cannot be read as JSON lines: {error}. {remedy}") from None
    return checked(lines, list[_Noted], where=str(run.labels_file), remedy=remedy)


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
    return [f"{len(items):,} image{'s were' if len(items) > 1 else ' was'} {what} ({some(items)})"]
