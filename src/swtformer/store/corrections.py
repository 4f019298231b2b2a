"""Where corrected masks came from, and how a run goes on with them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from swtformer.errors import DataError
from swtformer.store.files import read_json
from swtformer.store.run import Run

NOTES = "corrections.json"
"""File in the folder of corrected masks that says which of them were corrected, and from what."""

VERSIONS = ".versions"
"""Folder in that of corrected masks that keeps those which later imports superseded: ID/FINGERPRINT.png.

Masks that were exported from one of them may still come back.
"""

CORRECTED = "corrected"
"""How the stamps of corrected masks begin; a making of pseudo-masks is hex digits."""


@dataclass(frozen=True)
class Corrections:
    """What corrections.json says.

    Attributes:
        base: folder of the masks before any correction.
        corrected: changed pixels by id, of the masks that were changed; of the last change, where a mask was
            changed again.
        making: which making of the pseudo-masks those that were not corrected are of (`making.making_of`);
            empty where the base is another folder, or nothing is known.
        versions: fingerprints of the corrected masks by id, as far as they were noted.
    """

    base: Path
    corrected: dict[str, int]
    making: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def stamps(self) -> dict[str, str]:
        """What tells each corrected mask from the same one corrected again, and from pseudo-masks; by id."""
        return {id: f"{CORRECTED} {self.versions.get(id, '')}" for id in self.corrected}


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
        versions = {str(id): str(version) for id, version in notes.get("versions", {}).items()}
        base = _found(folder, Path(notes["base"]))
        return Corrections(base, corrected, str(notes.get("making", "")), versions)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is not what `swtformer import` writes ({error!r}); import anew.") from None


def noted_base(run: Run, folder: Path, base: Path) -> str:
    """How corrections.json in `folder` names the folder of the masks before correction.

    Where both lie in the run, it is relative to `folder`, so that the run can be moved.
    """
    inside, target, before = run.path.resolve(), folder.resolve(), base.resolve()
    if target.is_relative_to(inside) and before.is_relative_to(inside):
        return Path(os.path.relpath(before, target)).as_posix()
    return str(before)


def _found(folder: Path, base: Path) -> Path:
    """The folder that a note in `folder` means.

    Notes of absolute paths outlive a move of the run where the folder of this name moved with them.
    """
    if not base.is_absolute():
        return (folder / base).resolve()
    sibling = folder.resolve().with_name(base.name)
    return sibling if sibling.is_dir() and not base.is_dir() else base


def origin(folder: Path) -> Path:
    """The folder that masks were made in: the base of corrected ones, else the folder itself."""
    corrections = read_corrections(folder)
    return folder if corrections is None else corrections.base


def training_commands(run: Run, masks: Path, *, data: Sequence[str] = ()) -> tuple[str, str]:
    """The commands that train on corrected masks of a run, and then segment photographs.

    A training that is there already stays: the new one gets a folder of its own in the run, and being the
    newest it is what `predict` takes.

    Args:
        run: the run.
        masks: folder of the corrected masks.
        data: place of the images and flags about it; the run knows its own where empty.
    """
    train = ["swtformer", "segment", str(run.path), *data, "--segment.masks", str(masks)]
    if run.segmentation.exists():
        train += ["--out", str(free_folder(run, "corrected"))]
    predict = ["swtformer", "predict", str(run.path), "PHOTOS", "--out", "FOLDER"]
    return shlex.join(train), shlex.join(predict)


def free_folder(run: Run, ending: str) -> Path:
    """A folder of the run for one more training, which is not there yet: segmentation-ENDING, or numbered."""
    first = run.path / f"{run.segmentation.name}-{ending}"
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return first if not first.exists() else next(path for path in others if not path.exists())
