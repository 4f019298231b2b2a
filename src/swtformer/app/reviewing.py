"""What the review page shows: a mask with its photograph, and the way to correct the marked ones."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from swtformer.app.pictures import LegendRow, legend_rows
from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image, read_mask
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import SwtformerError
from swtformer.report.cases import describe_labels
from swtformer.report.pictures import thumbnail
from swtformer.review.decisions import Reviewed, ReviewItem, ReviewQueue
from swtformer.store.corrections import training_commands
from swtformer.store.known_data import data_of
from swtformer.store.notes import DataNotes, read_notes
from swtformer.store.pseudo_masks import making_of
from swtformer.store.run import Run

SHOWN_PX = 1024
"""Longer side of the pictures at most."""


@dataclass(frozen=True)
class Card:
    """One mask as it is shown.

    Attributes:
        item: its place in the queue.
        photograph: (h, w, 3) uint8 RGB; grey where there is none to be read.
        labels: (h, w) uint8.
        rows: the legend.
        stated: image-level labels in words; empty where they cannot be had.
        remark: what keeps the photograph from being shown; empty where nothing does.
    """

    item: ReviewItem
    photograph: np.ndarray
    labels: np.ndarray
    rows: tuple[LegendRow, ...]
    stated: str
    remark: str


class Cards:
    """Finds photographs and masks of a run; one object serves all visitors."""

    def __init__(self, run: Run, data: ImageSet | None = None) -> None:
        """Remember where to look.

        Args:
            run: with pseudo-masks.
            data: the photographs; those that the masks were made for where None.
        """
        self._run = run
        self._classes = run.classes()
        self._given = data
        self._known: tuple[str, ImageSet, dict[str, Record]] | None = None
        self._opening = threading.Lock()

    def card(self, queue: ReviewQueue, item: ReviewItem) -> Card:
        """Read one mask and its photograph.

        Raises:
            SwtformerError: the mask cannot be read; or the data set is gone.
        """
        id = item.review.id
        labels = read_mask(self._run.path / queue.reviewed / f"{id}.png")
        rows = tuple(legend_rows(labels, self._classes))
        small = _shrunk(labels)
        stated = remark = ""
        try:
            data, record = self._record(id)
            stated = describe_labels(record, data.classes)
            photograph = self._photograph(record, small.shape)
        except SwtformerError as error:
            remark = str(error)
            photograph = np.full((*small.shape, 3), 128, np.uint8)
        return Card(item, photograph, small, rows, stated, remark)

    def _photograph(self, record: Record, size: tuple[int, ...]) -> np.ndarray:
        image = thumbnail(read_image(record.image, exif=self._run.settings().data.exif), side_px=SHOWN_PX)
        if image.shape[:2] != size:
            raise SwtformerError(f"{record.image}: has not the size of its mask; is it another image by now?")
        return image

    def _record(self, id: str) -> tuple[ImageSet, Record]:
        """The data set, which is opened once for each making of the pseudo-masks, and an image of it.

        Corrected masks lie on the same photographs.
        """
        making = making_of(self._run.pseudo_masks)
        with self._opening:
            if self._known is None or self._known[0] != making:
                data = self._opened() if self._given is None else self._given
                self._known = making, data, {record.id: record for record in data.records}
            _, data, records = self._known
        if id in records:
            return data, records[id]
        if self._given is not None:
            raise SwtformerError(f"{data.name} has no image {id!r}.")
        raise SwtformerError(f"The run's data set has no image {id!r} any more. {self._remedy()}")

    def _opened(self) -> ImageSet:
        """The data set that the masks were made for."""
        made_for = read_notes(self._run.pseudo_masks_file, DataNotes) or DataNotes()
        path, settings = data_of(self._run, None, made_for)
        try:
            return open_dataset(path, settings.data, reader=settings.reader)
        except SwtformerError as error:
            raise SwtformerError(f"{error} {self._remedy()}") from error

    def _remedy(self) -> str:
        command = f"swtformer app {shlex.quote(str(self._run.path))} DATA"
        return f"If the photographs have moved, start the app with their place: {command}"


def export_commands(run: Run, reviewed: Reviewed, named: Sequence[str] = ()) -> str:
    """The commands that bring the marked masks into another tool and back.

    Args:
        run: with pseudo-masks.
        reviewed: which of its masks were marked.
        named: the data set as the commands name it, its place and the flags about it; the run knows its own
            where empty.
    """
    folder = shlex.quote(str(run.path))
    source = "" if reviewed == "pseudo_masks" else f" --source {reviewed}"
    data = f" --data {shlex.join(named)}" if named else ""
    train, predict = training_commands(run, run.corrected_masks, data=named)
    return (
        f"swtformer export {folder}{source} --decision correct --format label-studio "
        f"--out marked.json{data}\n"
        f"swtformer import {folder} corrected.json\n{train}\n{predict}"
    )


def _shrunk(labels: np.ndarray) -> np.ndarray:
    """A label image at the size of its photograph's thumbnail."""
    height, width = thumbnail(labels, side_px=SHOWN_PX).shape
    picture = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(picture)
