"""What every reader returns: records of images with image-level labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from swtformer.datasets.mask_colours import MaskColours
from swtformer.errors import DataError, nearest, some
from swtformer.settings import DataSettings


@dataclass(frozen=True)
class Record:
    """One image and what is known about it.

    Attributes:
        id: name of the image's outputs: relative POSIX path without extension, unique in its set.
        image: file of the image.
        present: indices (from 0, into the set's classes) of the classes in the image, sorted; empty for
            pure background; None where the labels are not known.
        mask: ground-truth label image (0 background, k+1 for class index k, 255 ignored); scores only.
        source: file and line that the record came from, for messages.
        group: what the image belongs to (`data.group`), such as a patient; a group is never divided between
            training and validation. None where groups are not known.
        colours: what the mask's colours mean, where a palette file says so.
    """

    id: str
    image: Path
    present: tuple[int, ...] | None
    mask: Path | None = None
    source: str = ""
    group: str | None = None
    colours: MaskColours | None = field(default=None, compare=False)


NOT_THERE = frozenset({"missing_image", "file_name"})
"""Kinds of problems for which a listed image is left out of the set."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set.

    Attributes:
        kind: short stable name, e.g. "missing_image"; problems of one kind are counted together.
        fatal: True stops every command (exit 2); False is skipped or only warned about.
        message: one sentence that names file and line and says what to do.
        id: the record it is about, if it is about one.
    """

    kind: str
    fatal: bool
    message: str
    id: str | None = None


@dataclass(frozen=True)
class Opened:
    """How a data set was opened, so that it can be opened again in the same way.

    Attributes:
        path: absolute path of the file or folder.
        settings: the data settings: the format by its name, the split as it was asked for, absolute folders.
        reader: options of the format's reader.
    """

    path: Path
    settings: DataSettings
    reader: dict[str, Any]


@dataclass(frozen=True)
class ImageSet:
    """A data set, or one split of it.

    Attributes:
        name: what reports call it, e.g. "voc-subset/train".
        format: the reader that made it.
        root: file or folder that it was opened from.
        classes: class names; a mask holds index + 1.
        records: the images, in the order of the source.
        problems: what was found wrong without stopping (fatal ones raise DataError instead).
        labels_from: where the image-level labels came from, e.g. "labels.csv"; said in reports.
        split: name of the split; None where the set is whole.
        opened: how `open_dataset` opened it; None for a set that was made in Python.
    """

    name: str
    format: str
    root: Path
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()
    labels_from: str = ""
    split: str | None = None
    opened: Opened | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return (
            f"ImageSet({self.name!r}, {self.format}: {len(self)} images, {len(self.classes)} classes "
            f"({some(self.classes, most=8)}), {len(self.problems)} problems)"
        )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.records)

    def labels(self) -> np.ndarray:
        """(N, C) 0/1 float32 matrix of image-level labels; rows of unlabelled images are nan."""
        matrix = np.zeros((len(self.records), len(self.classes)), dtype=np.float32)
        for row, record in zip(matrix, self.records, strict=True):
            if record.present is None:
                row[:] = np.nan
            else:
                row[list(record.present)] = 1
        return matrix

    def fingerprint(self) -> str:
        """SHA-256 (hex) over class names, ids and labels: equal for equal tasks, whatever the paths."""
        digest = hashlib.sha256("\x1f".join(self.classes).encode())
        for record in self.records:
            digest.update(f"\x1e{record.id}\x1f{record.present}".encode())
        return digest.hexdigest()

    def subset(self, keep: list[int], *, name: str | None = None) -> ImageSet:
        """The set with only the records at these positions."""
        return replace(self, records=tuple(self.records[i] for i in keep), name=name or self.name)

    def class_index(self, name: str) -> int:
        """Index of a class name, from 0.

        Raises:
            DataError: no such class; the message gives the nearest one.
        """
        try:
            return self.classes.index(name)
        except ValueError:
            raise DataError(f"Unknown class {name!r} in {self.name}. {nearest(name, self.classes)}") from None
