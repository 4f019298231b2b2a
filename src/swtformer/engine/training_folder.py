"""The folder of a training: new, or resumed with the settings that it was started with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from swtformer.errors import SettingsError, SwtformerError
from swtformer.processes import is_main_process
from swtformer.settings import Settings, differing
from swtformer.store.failures import Failure, read_failures
from swtformer.store.files import make_folder
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_writer

LOCK = ".training.lock"
"""File in the folder of a training that is locked while it runs."""


@contextmanager
def training_folder(run: Run, settings: Settings, *, sections: Sequence[str], resume: bool) -> Iterator[None]:
    """Make the folder of a training, or check that it may be resumed; lock out other trainings.

    A training that stopped before its first checkpoint has nothing to lose and is started over, with any
    settings.

    Args:
        run: the folder.
        settings: of this call.
        sections: sections that decide the trained weights.
        resume: whether to resume the training.

    Raises:
        SettingsError: the folder holds another training, or none to resume, or one with other settings.
        SwtformerError: the folder cannot be made, written or locked, or another training is writing there
            now.
    """
    if resume and not run.settings_file.is_file() and is_main_process():
        raise SettingsError(f"{run.path} holds no run to resume (no settings.yaml).")
    _make_writable(run)
    if not is_main_process():
        yield
        return
    with sole_writer(run.path, LOCK, other="another training", remedy="; or name another `out`"):
        _require_own(run, settings, sections=sections, resume=resume)
        yield


def _make_writable(run: Run) -> None:
    try:
        make_folder(run.path)
    except OSError as error:
        raise SwtformerError(f"{run.path}: cannot be created: {error.strerror}.") from None
    for folder in (run.path, *run.linked_folders()):
        make_folder(folder)  # refuses a link to nowhere
        if not os.access(folder, os.W_OK):
            raise SwtformerError(f"{folder}: is not writable; name another `out`.")


def _require_own(run: Run, settings: Settings, *, sections: Sequence[str], resume: bool) -> None:
    """Refuse a folder whose weights another training made."""
    if not resume and run.settings_file.is_file() and holds_weights(run):
        raise SettingsError(
            f"{run.path} already holds a run. Resume it with `resume`, or name another `out`, such as "
            f"{run.path.absolute()}-2."
        )
    require_same_settings(run, settings, sections=sections)


def require_same_settings(run: Run, settings: Settings, *, sections: Sequence[str]) -> None:
    """Refuse settings that would have given an existing training other weights.

    Args:
        run: the folder of the training; nothing is refused before its first checkpoint.
        settings: of this call.
        sections: sections that decide the weights.

    Raises:
        SettingsError: some differ; the message names them.
    """
    if not (run.settings_file.is_file() and holds_weights(run)):
        return
    changed = differing(run.settings().shaping(*sections), settings.shaping(*sections))
    if changed:
        longer = (
            " The number of epochs shapes the learning rate from the start. To train longer, start a new run "
            f"from this one when it is finished: train.start_from {run.path}."
        )
        raise SettingsError(
            f"{run.path} was started with other settings: {', '.join(changed)}. "
            "A resumed run keeps its settings; start a new run to change them."
            + longer
            * ("train.epochs" in changed)
        )


def has_checkpoint(run: Run) -> bool:
    """Whether an epoch was finished; a training that stopped before starts over."""
    return any(run.checkpoints.glob("epoch-*.ckpt"))


def holds_weights(run: Run) -> bool:
    """Whether a training left a checkpoint or a model, which another one must not overwrite."""
    return has_checkpoint(run) or run.model.is_dir()


def with_earlier(run: Run, stage: str, failures: Sequence[Failure]) -> list[Failure]:
    """A resumed training's failures, and those from before it stopped."""
    known = {failure.id for failure in failures}
    earlier = [item for item in read_failures(run) if item.stage == stage and item.id not in known]
    return [*failures, *earlier]
