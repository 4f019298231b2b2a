"""Fetches the next shard while one is worked on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

from swtformer.datasets.shards.sources import Source
from swtformer.errors import DataError, SwtformerError
from swtformer.store.remote import DiskFullError


class Fetch(Thread):
    """A shard on its way to this disk. As a daemon it holds up nobody who stops the program.

    Attributes:
        source: the shard.
    """

    def __init__(self, source: Source, target: Path) -> None:
        super().__init__(daemon=True)
        self.source, self._target = source, target
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """See `Thread`."""
        try:
            self.source.fetch(self._target)
        except Exception as error:
            self._error = error

    def result(self) -> Path:
        """The copy, once it is there.

        Raises:
            DataError: the shard cannot be read.
            DiskFullError: this disk is full.
        """
        self.join()
        if isinstance(self._error, SwtformerError) and not isinstance(self._error, DiskFullError):
            raise DataError(str(self._error)) from self._error
        if self._error is not None:
            raise self._error
        return self._target

    def remove(self) -> None:
        """Remove the copy, or what there is of it."""
        if self._target.is_dir():
            shutil.rmtree(self._target)
        else:
            self._target.unlink(missing_ok=True)


def fetched_ahead(sources: Sequence[Source], folder: Path) -> Iterator[Fetch]:
    """Yield every shard once it is there, while the next one, and no more, is on its way.

    Args:
        sources: the shards.
        folder: where the copies go; whoever takes one removes it.
    """
    following: Fetch | None = None
    for number, source in enumerate(sources):
        fetch = following or Fetch(source, folder / f"{number}")
        fetch.join()
        following = None
        if number + 1 < len(sources):
            following = Fetch(sources[number + 1], folder / f"{number + 1}")
        yield fetch
