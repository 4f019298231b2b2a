"""What the review page shows: a mask with its photograph, and the commands to correct marked masks."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from swtformer.app.pictures import LegendRow, legend_rows
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import require_same_size
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.of_run import open_data_of
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import SwtformerError
from swtformer.report.cases import describe_labels
from swtformer.report.pictures import thumbnail
from swtformer.review.decisions import Reviewed, ReviewItem, ReviewQueue
from swtformer.store.corrections import training_commands
from swtformer.store.notes import DataNotes, read_notes
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run

SHOWN_PX = 1024
"""Maximum length of the pictures' longer side."""


@dataclass(frozen=True)
class Card:
    """One mask as it is shown.

    Attributes:
        item: its place in the queue.
        photograph: (h, w, 3) uint8 RGB; grey where it cannot be read.
        labels: (h, w) uint8.
        rows: the legend.
        stated: image-level labels in words; empty where they are not known.
        remark: why the photograph cannot be shown; empty where it can.
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
        """Take a run with pseudo-masks; without `data`, its own data set is opened when it is needed."""
        self._run = run
        self._classes = run.classes()
        self._given = data
        self._known: tuple[str, ImageSet, dict[str, Record]] | None = None
        self._opening = threading.Lock()

    def card(self, queue: ReviewQueue, item: ReviewItem) -> Card:
        """Read one mask and its photograph.

        Raises:
            SwtformerError: the mask cannot be read.
        """
        id = item.review.id
        labels = read_mask(self._run.path / queue.reviewed / f"{id}.png")
        rows = tuple(legend_rows(labels, self._classes))
        height, width = thumbnail(labels, side_px=SHOWN_PX).shape
        small = np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
        stated = remark = ""
        try:
            data, record = self._record(id)
            stated = describe_labels(record, data.classes)
            image = read_image(record.image, self._run.settings().data)
            require_same_size(image.shape[:2], record.image, labels.shape, "its mask")
            photograph = thumbnail(seen_in_colour(image), side_px=SHOWN_PX)
        except SwtformerError as error:
            remark = str(error)
            photograph = np.full((height, width, 3), 128, np.uint8)
        return Card(item, photograph, small, rows, stated, remark)

    def _record(self, id: str) -> tuple[ImageSet, Record]:
        """The data set, which is opened again when the pseudo-masks have changed, and one of its images."""
        version = version_of(self._run.pseudo_masks)
        with self._opening:
            if self._known is None or self._known[0] != version:
                data = self._opened() if self._given is None else self._given
                self._known = version, data, {record.id: record for record in data.records}
            _, data, records = self._known
        if id in records:
            return data, records[id]
        if self._given is not None:
            raise SwtformerError(f"{data.name} has no image {id!r}.")
        raise SwtformerError(f"The run's data set no longer has the image {id!r}. {self._remedy()}")

    def _opened(self) -> ImageSet:
        """The data set that the masks were made for."""
        made_for = read_notes(self._run.pseudo_masks_file, DataNotes) or DataNotes()
        try:
            return open_data_of(self._run, made_for)
        except SwtformerError as error:
            raise SwtformerError(f"{error} {self._remedy()}") from error

    def _remedy(self) -> str:
        command = f"swtformer app {shlex.quote(str(self._run.path))} DATA"
        return f"If the photographs have moved, start the app with their new path: {command}"


def export_commands(run: Run, reviewed: Reviewed, named: Sequence[str] = ()) -> str:
    """The commands that export the marked masks to another tool, and import them.

    `named` is the path and the flags of the data set as on the command line; the run's own where empty.
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
