"""Work that processes divide in tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from swtformer.errors import NonFiniteError
from swtformer.sharing import Work


@dataclass(frozen=True)
class Squaring(Work[int, tuple[int, int]]):
    """Squares numbers, with the process that did it; each leaves a file."""

    folder: Path

    @cached_property
    def process(self) -> int:
        return os.getpid()

    def __call__(self, items: Sequence[int]) -> Iterator[tuple[int, int]]:
        for item in items:
            with (self.folder / str(item)).open("a") as stream:
                stream.write(f"{self.process}\n")
            yield item**2, self.process


@dataclass(frozen=True)
class KilledOnce(Work[Any, Any]):
    """The same work, in which one process is killed before an item, once."""

    work: Work[Any, Any]
    item: Any
    marker: Path

    def __call__(self, items: Sequence[Any]) -> Iterator[Any]:
        for item, result in zip(items, self.work(items), strict=True):
            yield result
            if item == self.item and not self.marker.exists():
                self.marker.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Refusing(Work[int, int]):
    """Refuses one number."""

    refused: int

    def __call__(self, items: Sequence[int]) -> Iterator[int]:
        for item in items:
            if item == self.refused:
                raise NonFiniteError(f"{item} is not finite.")
            yield item
