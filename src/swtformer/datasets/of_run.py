"""The data set that a run's results are about, opened again."""

from __future__ import annotations

from swtformer.datasets.records import ImageSet
from swtformer.datasets.registry import open_dataset
from swtformer.store.known_data import data_of
from swtformer.store.notes import DataNotes
from swtformer.store.run import Run


def open_data_of(run: Run, made_for: DataNotes) -> ImageSet:
    """Open the images that a result of a run is about, by the run's own settings.

    Args:
        run: the run.
        made_for: notes of the result.

    Raises:
        SwtformerError: the run does not know its data set.
        DataError: it cannot be opened.
    """
    path, settings = data_of(run, None, made_for)
    return open_dataset(path, settings.data, reader=settings.reader)
