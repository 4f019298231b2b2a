"""corrections.json: which masks of a folder were corrected by hand, and what the others are."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from swtformer.store.files import write_json
from swtformer.store.notes import Notes, read_notes
from swtformer.store.run import Run

NOTES = "corrections.json"
"""File in a folder of corrected masks."""


class Corrections(Notes):
    """corrections.json: which masks of a folder were corrected."""

    base: Path
    """Folder of the masks before correction; in the file, relative to its own folder."""
    corrected: dict[str, str]
    """Fingerprint of each corrected mask by id. Every other mask is a copy from `base`."""
    version: str = ""
    """Version of the pseudo-masks that were copied (`pseudo_masks.version_of`); empty for other masks."""


def read_corrections(folder: Path) -> Corrections | None:
    """Which masks of a folder were corrected; None if `swtformer import` did not make the folder.

    Raises:
        SwtformerError: corrections.json is damaged.
    """
    found = read_notes(folder / NOTES, Corrections)
    return found and found.model_copy(update={"base": (folder / found.base).resolve()})


def write_corrections(folder: Path, corrections: Corrections) -> None:
    """Write corrections.json; it names the base relative to `folder`, so that both can move together."""
    base = Path(os.path.relpath(corrections.base.resolve(), folder.resolve())).as_posix()
    write_json(folder / NOTES, {**corrections.model_dump(), "base": base})


def origin(folder: Path) -> Path:
    """The base of a folder of corrected masks; of any other folder, the folder itself."""
    corrections = read_corrections(folder)
    return folder if corrections is None else corrections.base


def training_commands(run: Run, masks: Path, *, data: Sequence[str] = ()) -> tuple[str, str]:
    """The commands that train on corrected masks of a run, and then segment photographs.

    An earlier training is kept: the new one gets another folder of the run, and `predict` takes the newest.

    Args:
        run: the run.
        masks: folder of the corrected masks.
        data: place of the images and flags about it; if empty, the data set that the run knows.
    """
    train = ["swtformer", "segment", str(run.path), *data, "--segment.masks", str(masks)]
    if run.segmentation.exists():
        train += ["--out", str(free_folder(run, "corrected"))]
    predict = ["swtformer", "predict", str(run.path), "PHOTOS", "--out", "FOLDER"]
    return shlex.join(train), shlex.join(predict)


def free_folder(run: Run, ending: str) -> Path:
    """A new folder of the run for another training: segmentation-ENDING, numbered if that exists."""
    first = run.path / f"{run.segmentation.name}-{ending}"
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return first if not first.exists() else next(path for path in others if not path.exists())
