"""Whether a training that is there was about the data that is named now, and may go on as it began."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from swtformer.datasets.records import ImageSet
from swtformer.engine.training_folder import has_checkpoint, holds_weights
from swtformer.errors import SettingsError
from swtformer.precision import pick_device
from swtformer.settings import OptimisationSettings, Settings
from swtformer.store.files import digest
from swtformer.store.models import holds_model
from swtformer.store.run import Run

SAMPLED = 32
"""Image files that are looked into, spread over the data set."""
CHUNK_BYTES = 2**14
"""What is read of such a file at its beginning, its middle and its end."""

Change = Literal["unknown", "none", "some", "most"]
"""How many image files are others than those of a training; unknown where it did not note them."""


def facts_of_data(data: ImageSet) -> dict[str, Any]:
    """What environment.json keeps of the data of a training."""
    return {
        "data": str(data.root.resolve()),
        "split": data.split,
        "data_name": data.name,
        "labels_from": data.labels_from,
        "data_fingerprint": data.fingerprint(),
        **facts_of_files(data),
    }


def facts_of_files(data: ImageSet) -> dict[str, Any]:
    """What tells later whether the image files are still those of the training."""
    return {"file_sizes": _sizes(data), "files_sampled": _sample(data)}


def fingerprint_with_files(data: ImageSet) -> str:
    """Equal for equal images, labels and, as far as their sizes and a sample tell, image files."""
    return digest(data.fingerprint(), _sizes(data), _sample(data))


def changed_files(run: Run, data: ImageSet) -> Change:
    """How far the image files are others than those that a run was trained on, wherever they lie.

    Sizes in bytes are compared of all files, contents of a sample.
    """
    facts = run.environment()
    known: dict[str, str] | None = facts.get("files_sampled")
    if known is None:
        return "unknown"
    paths = {record.id: record.image for record in data.records if record.id in known}
    differing = sum(id not in paths or _glimpse(paths[id]) != seen for id, seen in known.items())
    if 2 * differing > len(known):
        return "most"
    return "some" if differing or facts.get("file_sizes") != _sizes(data) else "none"


def require_same_data(run: Run, data: ImageSet) -> None:
    """Refuse a training of other data: other labels, names or classes, or other photographs of these.

    A data set that was moved is the same, and so is one of which some files were mended since.

    Args:
        run: the folder of the training; nothing is refused before its first checkpoint.
        data: the images and labels that are named now.

    Raises:
        SettingsError: the data is other.
    """
    if not holds_weights(run):
        return
    facts = run.environment()
    where = f"({facts.get('data_name')}: {facts.get('data')}, now {data.name}: {data.root.resolve()})"
    if facts.get("data_fingerprint", data.fingerprint()) != data.fingerprint():
        raise SettingsError(f"{run.path} was trained on other images or labels {where}. Name another --out.")
    if changed_files(run, data) == "most":
        raise SettingsError(
            f"{run.path} was trained on other photographs of the same names and labels {where}. Name another "
            "--out."
        )


def require_unbroken(
    run: Run, options: OptimisationSettings, *, section: str, data: ImageSet | None = None
) -> list[str]:
    """Refuse to go on with a stopped training where it would not end as one that was never stopped.

    That is so when image files were replaced or, on a CPU, with another number of threads: sums then run in
    another order.

    Args:
        run: the folder of the training; nothing is refused of one that is finished or has no checkpoint yet.
        options: of the training.
        section: of the settings that they are.
        data: whose files to compare; none where None.

    Returns:
        What is otherwise and `options.resume_anyway` lets pass.

    Raises:
        SettingsError: something is, and that is not set.
    """
    if not holds_weights(run) or holds_model(run.path):
        return []
    found, advice = [], ""
    if data is not None and changed_files(run, data) in ("some", "most"):
        found.append("image files were replaced or removed")
    threads = run.environment().get("threads", torch.get_num_threads())
    if threads != torch.get_num_threads() and pick_device(options.accelerator) == "cpu":
        found.append(f"there were {threads} threads and are {torch.get_num_threads()}")
        advice = f" Set OMP_NUM_THREADS={threads} to have as many."
    if found and not options.resume_anyway:
        raise SettingsError(
            f"{run.path}: since this training began, {' and '.join(found)}, so it would not end as an "
            f"unbroken one.{advice} Start a new run, or go on by --{section}.resume_anyway."
        )
    return found


def resumed_anyway(run: Run, passed: Sequence[str]) -> list[str]:
    """All that a training was gone on with in spite of, these calls and the ones before; for its notes."""
    before = (run.environment().get("resumed_anyway") or []) if has_checkpoint(run) else []
    return [*before, *passed]


def for_this_call_only(settings: Settings) -> Settings:
    """The settings as a run keeps them: what lets one call go on is not for the next one."""
    train = settings.train.model_copy(update={"resume_anyway": False})
    segment = settings.segment.model_copy(update={"resume_anyway": False})
    return settings.model_copy(update={"train": train, "segment": segment})


def _sizes(data: ImageSet) -> str:
    return digest(*((record.id, _size(record.image)) for record in data.records))


def _size(image: Path) -> int | None:
    try:
        return image.stat().st_size
    except OSError:
        return None


def _sample(data: ImageSet) -> dict[str, str]:
    """What files hold, by id; which ones follows from the ids alone."""
    records = sorted(data.records, key=lambda record: record.id)
    count = min(SAMPLED, len(records))
    chosen = [records[place * len(records) // count] for place in range(count)]
    return {record.id: _glimpse(record.image) for record in chosen}


def _glimpse(image: Path) -> str:
    size = _size(image)
    if size is None:
        return "missing"
    seen = hashlib.sha256(str(size).encode())
    try:
        with image.open("rb") as stream:
            for start in (0, max(0, size // 2 - CHUNK_BYTES // 2), max(0, size - CHUNK_BYTES)):
                stream.seek(start)
                seen.update(stream.read(CHUNK_BYTES))
    except OSError:
        return "missing"
    return seen.hexdigest()[:16]
