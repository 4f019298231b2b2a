"""One process at a time writes into a folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from filelock import FileLock, Timeout

from swtformer.errors import SwtformerError
from swtformer.processes import is_main_process
from swtformer.store.run import Run

RESULTS_LOCK = ".results.lock"
"""File in a folder that is locked while maps, masks or predictions are written there."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@contextmanager
def sole_writer(
    folder: Path, lock: str = RESULTS_LOCK, *, other: str = "another command", remedy: str = ""
) -> Iterator[None]:
    """Lock a folder against other processes; the lock ends with this one.

    The empty file that stays is not a lock. Of processes that were launched together the first holds it. A
    folder that does not exist is not locked.

    Args:
        folder: where this process is going to write.
        lock: name of the file in it that is locked.
        other: whoever else may hold the lock, for the message.
        remedy: what can be done besides waiting, for the message.

    Raises:
        SwtformerError: another process holds the lock, or the file cannot be locked.
    """
    if not is_main_process() or not folder.is_dir():
        yield
        return
    try:
        held = FileLock(folder / lock, timeout=0).acquire()
    except Timeout:
        raise SwtformerError(
            f"{folder}: {other} is writing here. Wait until it has ended or stop it, then repeat the "
            f"command{remedy}."
        ) from None
    except OSError as error:
        raise SwtformerError(
            f"{folder / lock}: cannot be locked: {error.strerror or error}. If the file belongs to somebody "
            "else, delete it; if the file system has no locks, use a folder on one that has."
        ) from error
    with held:
        yield


def sole_maker(
    stage: Callable[Concatenate[Run, Parameters], Result],
) -> Callable[Concatenate[Run, Parameters], Result]:
    """Decorator of stages that write maps or masks of a run: two of them never work on one run at once."""

    @functools.wraps(stage)
    def call(run: Run, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with sole_writer(run.path, other="another command that makes maps or masks"):
            return stage(run, *args, **kwargs)

    return call
