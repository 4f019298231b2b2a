"""Whether an existing training may be resumed: what has changed since it started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from swtformer.datasets.of_run import changes_since_training, notes_of
from swtformer.datasets.records import ImageSet
from swtformer.engine.training_folder import holds_weights
from swtformer.errors import SettingsError
from swtformer.precision import pick_device
from swtformer.settings import UNDECIDED, OptimisationSettings, Settings
from swtformer.store.files import digest
from swtformer.store.models import holds_model
from swtformer.store.notes import training_notes
from swtformer.store.run import Run


def notes_of_data(data: ImageSet) -> dict[str, Any]:
    """Fields of `TrainingNotes` about the data of a training."""
    return {
        **notes_of(data),
        "labels_from": data.labels_from,
        "data_fingerprint": data.fingerprint(),
        "file_sizes": file_sizes(data),
    }


def with_range_of_run(settings: Settings, run: Run) -> Settings:
    """Settings with the range of values that a run has decided, where theirs is open."""
    if settings.data.range not in UNDECIDED or not run.settings_file.is_file():
        return settings
    known = settings.data.model_copy(update={"range": run.settings().data.range})
    return settings.model_copy(update={"data": known})


def file_sizes(data: ImageSet) -> str:
    """Equal while all image files have their sizes, wherever they lie."""
    return digest(*((record.id, _size(record.image)) for record in data.records))


def require_same_data(run: Run, data: ImageSet) -> None:
    """Refuse data with other classes, images or labels than an existing training; moved data is the same.

    Args:
        run: the folder of the training; nothing is refused before its first checkpoint.
        data: the images and labels that are named now.

    Raises:
        SettingsError: the data differs.
    """
    notes = training_notes(run)
    if holds_weights(run) and notes.data_fingerprint not in (None, data.fingerprint()):
        changes = changes_since_training(run, data)
        raise SettingsError(
            f"{run.path} was trained on other images or labels ({notes.data_name}: {notes.data}, now "
            f"{data.name}: {data.root.resolve()})"
            + (f": {'; '.join(changes)}" if changes else "")
            + ". Name another `out`."
        )


def changed_files(run: Run, data: ImageSet) -> list[str]:
    """Says whether image files have changed in size, or were removed, since a training started."""
    known = training_notes(run).file_sizes
    if not holds_weights(run) or known in (None, file_sizes(data)):
        return []
    return ["image files were replaced or removed"]


def changed_threads(run: Run, options: OptimisationSettings) -> list[str]:
    """Says whether an unfinished training on a CPU had another number of threads, which sum in another
    order."""
    known, now = training_notes(run).threads, torch.get_num_threads()
    is_over = holds_model(run.path) or not holds_weights(run)
    if is_over or known in (None, now) or pick_device(options.accelerator) != "cpu":
        return []
    return [f"the number of threads changed from {known} to {now} (OMP_NUM_THREADS={known} sets it back)"]


def require_unchanged(
    run: Run, changes: Sequence[str], options: OptimisationSettings, *, section: str
) -> None:
    """Refuse to resume a training that would end with different weights than an uninterrupted one.

    Args:
        run: the folder of the training.
        changes: what has changed since it started, in words.
        options: of the training; with `resume_anyway` nothing is refused.
        section: section of the settings that they are.

    Raises:
        SettingsError: something has changed.
    """
    if changes and not options.resume_anyway:
        what = " and ".join(changes)
        raise SettingsError(
            f"{run.path}: since this training started, {what}. Start a new one in another folder, or keep "
            f"this one with {section}.resume_anyway."
        )


def stored(settings: Settings) -> Settings:
    """Settings as a run stores them: `resume_anyway` applies to one call and is not stored."""
    train = settings.train.model_copy(update={"resume_anyway": False})
    segment = settings.segment.model_copy(update={"resume_anyway": False})
    return settings.model_copy(update={"train": train, "segment": segment})


def _size(image: Path) -> int | None:
    try:
        return image.stat().st_size
    except OSError:
        return None
