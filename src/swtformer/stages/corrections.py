"""Where corrected masks came from, and how a run goes on with them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from swtformer.errors import DataError
from swtformer.run import Run, read_json

NOTES = "corrections.json"
"""File in the folder of corrected masks that says which of them were corrected, and from what."""


@dataclass(frozen=True)
class Corrections:
    """What corrections.json says.

    Attributes:
        base: folder of the masks before any correction.
        corrected: changed pixels by id, of the masks that were changed; of the last change, where a mask was
            changed again.
        making: which making of the pseudo-masks those that were not corrected are of (`review.making`);
            empty where the base is another folder, or nothing is known.
    """

    base: Path
    corrected: dict[str, int]
    making: str = ""


def read_corrections(folder: Path) -> Corrections | None:
    """What is known of a folder of corrected masks; None where it is none.

    Raises:
        SwtformerError: corrections.json cannot be read.
        DataError: it lacks what `swtformer import` writes.
    """
    path = folder / NOTES
    if not path.is_file():
        return None
    notes = read_json(path)
    try:
        corrected = {str(id): int(n) for id, n in notes["corrected"].items()}
        return Corrections(Path(notes["base"]), corrected, str(notes.get("making", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is not what `swtformer import` writes ({error!r}); import anew.") from None


def origin(folder: Path) -> Path:
    """The folder that masks were made in: the base of corrected ones, else the folder itself."""
    corrections = read_corrections(folder)
    return folder if corrections is None else corrections.base


def training_commands(run: Run, masks: Path, *, data: Sequence[str] = ()) -> tuple[str, str]:
    """The commands that train on corrected masks of a run, and then segment photographs.

    A training that is there already stays: the new one gets a folder of its own.

    Args:
        run: the run.
        masks: folder of the corrected masks.
        data: place of the images and flags about it; the run knows its own where empty.
    """
    train = ["swtformer", "segment", str(run.path), *data, "--segment.masks", str(masks)]
    model = run.path
    if run.segmentation.exists():
        model = _free_folder(run)
        train += ["--out", str(model)]
    predict = ["swtformer", "predict", str(model), "PHOTOS", "--out", "FOLDER"]
    return shlex.join(train), shlex.join(predict)


def _free_folder(run: Run) -> Path:
    first = run.path / f"{run.segmentation.name}-corrected"
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return first if not first.exists() else next(path for path in others if not path.exists())
