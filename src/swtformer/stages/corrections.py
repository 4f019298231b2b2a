"""Where corrected masks came from, and how a run goes on with them."""

from __future__ import annotations

import shlex
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


def training_commands(run: Run, masks: Path) -> tuple[str, str]:
    """The commands that train on corrected masks of a run, and then segment photographs.

    A training that is there already stays: the new one gets a folder of its own in the run, and being the
    newest it is what `predict` takes.
    """
    train = ["swtformer", "segment", str(run.path), "--segment.masks", str(masks)]
    if run.segmentation.exists():
        train += ["--out", str(_free_folder(run))]
    predict = ["swtformer", "predict", str(run.path), "PHOTOS", "--out", "FOLDER"]
    return shlex.join(train), shlex.join(predict)


def _free_folder(run: Run) -> Path:
    first = run.path / f"{run.segmentation.name}-corrected"
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return first if not first.exists() else next(path for path in others if not path.exists())
