"""What the review page shows: a mask with its photograph, and the way to correct the marked ones."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from shlex import quote

import numpy as np
from PIL import Image

from swtformer.app.pictures import LegendRow, legend_rows
from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image, read_mask
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import SwtformerError
from swtformer.report.cases import describe_labels
from swtformer.report.pictures import thumbnail
from swtformer.run import Run, read_json
from swtformer.stages.corrections import training_commands
from swtformer.stages.known_data import data_of
from swtformer.stages.review import Reviewed, ReviewItem, ReviewQueue

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

    def __init__(self, run: Run) -> None:
        self._run = run
        self._classes = run.classes()
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
            data, record = self._record(queue, id)
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

    def _record(self, queue: ReviewQueue, id: str) -> tuple[ImageSet, Record]:
        """The data set, which is opened once for each making of the masks, and an image of it."""
        with self._opening:
            if self._known is None or self._known[0] != queue.masks:
                path, settings = data_of(self._run, None, read_json(self._run.pseudo_masks_file))
                data = open_dataset(path, settings.data)
                self._known = queue.masks, data, {record.id: record for record in data.records}
            _, data, records = self._known
        if id not in records:
            raise SwtformerError(f"The run's data set has no image {id!r} any more.")
        return data, records[id]


def export_commands(run: Run, reviewed: Reviewed) -> str:
    """The commands that bring the marked masks into another tool and back."""
    folder = quote(str(run.path))
    source = "" if reviewed == "pseudo_masks" else f" --source {reviewed}"
    return (
        f"swtformer export {folder}{source} --decision correct --format label-studio --out marked.json\n"
        f"swtformer import {folder} corrected.json\n" + "\n".join(training_commands(run, run.corrected_masks))
    )


def _shrunk(labels: np.ndarray) -> np.ndarray:
    """A label image at the size of its photograph's thumbnail."""
    height, width = thumbnail(labels, side_px=SHOWN_PX).shape
    picture = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(picture)
