"""Ground truth as the scores need it: found, checked, and never mistaken for a prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError


def records_with_mask(data: ImageSet) -> list[tuple[Record, Path]]:
    """The records that have a ground-truth mask, each with it, in the set's order."""
    return [(record, record.mask) for record in data.records if record.mask is not None]


def ground_truth_folder(masked: Sequence[tuple[Record, Path]]) -> str:
    """The deepest folder that holds all masks; empty where there are none."""
    return os.path.commonpath([str(mask.parent) for _, mask in masked]) if masked else ""


def require_classes(pixels_of_label: Tensor, ignored: int, folder: str, classes: Sequence[str]) -> None:
    """Refuse masks that cannot tell anything: without a scored pixel, or 0/255 where 0/1 is meant.

    Args:
        pixels_of_label: (N,) number of ground-truth pixels of each label over the set.
        ignored: number of pixels with value 255.
        folder: where the masks lie, for the message.
        classes: class names, without background.

    Raises:
        DataError: no pixel shows a class, and some hold 255.
    """
    if ignored and not pixels_of_label[1:].any():
        raise DataError(
            f"{folder}: the masks hold no value but 0 and 255, and 255 means 'ignored', so no class can be "
            f"scored. Are they binary masks? Write 1 instead of 255 for {classes[0]!r}."
        )


def require_other_files(predictions: Path, pairs: Sequence[tuple[Path, Path]]) -> None:
    """Refuse to score the ground truth with itself, however the folder is spelt or linked.

    Args:
        predictions: folder of predicted label images.
        pairs: (prediction, ground truth) files; those that are missing are passed over.

    Raises:
        DataError: the folder, or any prediction, is the ground truth itself.
    """
    pairs = [(prediction, truth) for prediction, truth in pairs if truth.exists()]
    for folder in {truth.parent for _, truth in pairs}:
        if predictions.samefile(folder):
            raise DataError(
                f"{predictions} is the folder of the ground truth ({folder}); name the folder of predictions."
            )
    for prediction, truth in pairs:
        if prediction.exists() and prediction.samefile(truth):
            raise DataError(
                f"{prediction} is the ground truth itself ({truth}); name the folder of predictions."
            )
