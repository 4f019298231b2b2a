"""A folder for what is fetched, worked on and put elsewhere. After a kill, the next call removes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "swtformer-scratch-"
LOCK = "lock"
"""File in it that is locked while its process lives."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder in that of temporary files ($TMPDIR), removed at the end.

    Those of processes that were killed are removed as well.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_abandoned(old)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            break
        os.close(handle)  # taken for abandoned before it was locked
    try:
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)
        # The folder is still there only if a thread was writing: the next call removes it.
        with suppress(OSError):
            (folder / LOCK).touch()


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):  # somebody else's, in use, or gone by now
        handle = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(handle)
