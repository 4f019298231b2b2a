"""Whether a training that is there was about the data that is named now, and may go on as it began."""

from __future__ import annotations

from typing import Any

import torch

from swtformer.datasets.records import ImageSet
from swtformer.errors import SettingsError
from swtformer.model_folders import holds_model
from swtformer.precision import pick_device
from swtformer.run import Run
from swtformer.settings import OptimisationSettings
from swtformer.stages.run_folder import holds_weights


def facts_of_data(data: ImageSet) -> dict[str, Any]:
    """What environment.json keeps of the data of a training."""
    return {
        "data": str(data.root.resolve()),
        "split": data.split,
        "data_name": data.name,
        "labels_from": data.labels_from,
        "data_fingerprint": data.fingerprint(),
        "files_fingerprint": data.files_fingerprint(),
    }


def has_changed_files(run: Run, data: ImageSet) -> bool:
    """Whether the photographs are others, by their sizes in bytes, than those that a run was trained on."""
    known = run.environment().get("files_fingerprint")
    return known is not None and known != data.files_fingerprint()


def require_same_data(run: Run, data: ImageSet, options: OptimisationSettings, *, section: str) -> None:
    """Refuse to go on with a training of other data.

    Other labels, names or classes are other data, and so are other files of the same names that lie
    elsewhere. A data set that was moved is the same. Where some of its files were replaced since, a finished
    training stands, and one that stopped goes on only with `options.resume_anyway`.

    Args:
        run: the folder of the training; nothing is refused before its first checkpoint.
        data: the images and labels that are named now.
        options: of the training.
        section: of the settings that they are.

    Raises:
        SettingsError: the data is other.
    """
    if not holds_weights(run):
        return
    facts = run.environment()
    where = f"({facts.get('data_name')}: {facts.get('data')}, now {data.name}: {data.root.resolve()})"
    if facts.get("data_fingerprint", data.fingerprint()) != data.fingerprint():
        raise SettingsError(f"{run.path} was trained on other images or labels {where}. Name another --out.")
    if not has_changed_files(run, data):
        return
    if facts.get("data") != str(data.root.resolve()):
        raise SettingsError(
            f"{run.path} was trained on other photographs of the same names and labels {where}. Name another "
            "--out; or, if it is the same data set with files that were mended, put it where it was."
        )
    if not holds_model(run.path) and not options.resume_anyway:
        raise SettingsError(
            f"{run.path}: image files were replaced or removed since this training began, so it would not "
            f"end as an unbroken one. Start a new run, or go on by --{section}.resume_anyway."
        )


def require_same_threads(run: Run, options: OptimisationSettings, *, section: str) -> None:
    """Refuse to go on with a stopped training on a CPU by another number of threads.

    Sums then run in another order, and the weights are no longer those of an unbroken training.

    Raises:
        SettingsError: the number is another, and `options.resume_anyway` is not set.
    """
    if not holds_weights(run) or holds_model(run.path) or options.resume_anyway:
        return
    threads = run.environment().get("threads", torch.get_num_threads())
    if threads != torch.get_num_threads() and pick_device(options.accelerator) == "cpu":
        raise SettingsError(
            f"{run.path} was begun with {threads} threads, there are {torch.get_num_threads()} now, so it "
            f"would not end as an unbroken one. Set OMP_NUM_THREADS={threads}, or go on by "
            f"--{section}.resume_anyway."
        )
