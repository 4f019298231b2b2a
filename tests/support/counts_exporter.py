"""A format as another package might add it: export-only."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from swtformer.exporters import EXPORTERS, Exporter, LabelledImage
from swtformer.settings import ExportSettings
from swtformer.store.files import atomic_file


class PixelCounts(Exporter):
    """A table of image, class and number of pixels."""

    suffix = ".csv"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        with atomic_file(out, "w") as stream:
            writer = csv.writer(stream)
            for item in images:
                for value, name in enumerate(classes, start=1):
                    writer.writerow((item.id, name, np.count_nonzero(item.labels == value)))
        return []


@contextmanager
def counts_registered() -> Iterator[None]:
    """The format "toy_counts", while the block lasts."""
    EXPORTERS.register("toy_counts")(PixelCounts)
    try:
        yield
    finally:
        EXPORTERS.unregister("toy_counts")
