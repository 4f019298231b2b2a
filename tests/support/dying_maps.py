"""Map making that is killed; apart from other works, whose processes need no torch."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swtformer.datasets.records import Record
from swtformer.stages.localize.data_set import MapMaking
from swtformer.store.failures import Failure


@dataclass(frozen=True)
class DyingMapMaking(MapMaking):
    """Map making of which one process is killed after an image, once."""

    def __call__(self, items: Sequence[Record]) -> Iterator[Failure | None]:
        marker = self.run.path / "killed"
        for item, result in zip(items, super().__call__(items), strict=True):
            yield result
            if item.id == "5" and not marker.exists():
                marker.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
