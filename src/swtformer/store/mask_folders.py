"""Folders of masks <id>.png: those of a run, those that `predict` wrote, and any others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from swtformer.errors import DataError, SwtformerError, some
from swtformer.store.notes import Areas, PredictionNotes, read_notes
from swtformer.store.run import Run

MaskSource = Literal["auto", "pseudo_masks", "masks", "corrected_masks", "predictions"]
"""Which masks of a run; "auto" takes pseudo_masks, or masks if there are none."""

_ORIGINS: dict[MaskSource, str] = {
    "auto": "make masks with `swtformer pseudo-label` or `swtformer mask`.",
    "pseudo_masks": "make these masks with `swtformer pseudo-label`.",
    "masks": "make these masks with `swtformer mask`.",
    "corrected_masks": "`swtformer import` or `import_masks` makes it from masks corrected in another tool.",
    "predictions": "name the folder that `swtformer predict` made instead of the run.",
}
"""What to do if a run lacks masks."""


def mask_folder(run: Run, source: MaskSource = "auto") -> Path:
    """Folder of a run's masks.

    Raises:
        SwtformerError: the run has none, or not those that are asked for.
    """
    wanted = ("pseudo_masks", "masks") if source == "auto" else (source,)
    for name in wanted:
        if (run.path / name).is_dir():
            return masks_in(run.path / name)
    raise SwtformerError(f"{run.path} has no folder {' or '.join(wanted)}; {_ORIGINS[source]}")


def masks_in(folder: Path) -> Path:
    """The folder with the masks: the sub-folder masks of what `swtformer predict` made, else `folder`."""
    return Run(folder).masks if Run(folder).predictions_file.is_file() else folder


def mask_ids(folder: Path) -> list[str]:
    """Ids of the masks in a folder, sorted.

    Raises:
        SwtformerError: there are none, or no such folder.
    """
    files = (file.relative_to(folder) for file in folder.rglob("*.png"))
    ids = sorted(
        file.as_posix().removesuffix(".png")
        for file in files
        if not any(part.startswith(".") for part in file.parts)
    )
    if not ids:
        what = "holds no masks; expected <id>.png files" if folder.is_dir() else "is not a folder of masks"
        raise SwtformerError(f"{folder}: {what}. `swtformer pseudo-label RUN` makes the masks of a run.")
    return ids


def declared_classes(folder: Path) -> tuple[str, ...] | None:
    """Class names of a folder of masks; None if they are not written down.

    They come from classes.json in the folder or its parent, else from what `swtformer predict` wrote.

    Raises:
        SwtformerError: the file does not hold a list of names.
    """
    for place in (Run(folder), Run(folder.parent)):
        names = read_notes(place.classes_file, list[str], remedy="Expected a list of class names.")
        if names is not None:
            return tuple(names)
    notes = prediction_notes(folder)
    return notes.classes[1:] if notes else None  # the first is background


def require_same_numbers(folder: Path, classes: Sequence[str]) -> None:
    """Refuse masks of a run or of `predict` in which a value means another class than in a class list.

    Raises:
        DataError: it does.
    """
    owner = Run(folder.parent)
    notes = prediction_notes(folder)
    is_run = owner.settings_file.is_file() and owner.classes_file.is_file()
    known = notes.classes[1:] if notes else owner.classes() if is_run else ()
    for value, (one, other) in enumerate(zip(known, classes, strict=False), start=1):
        if one != other:
            raise DataError(
                f"{folder}: the value {value} is {one!r} in these masks and {other!r} in the data set. Name "
                f"the data set's classes in the order of the masks (data.classes: {some(known)}), or "
                "renumber one of them."
            )


def prediction_notes(folder: Path) -> PredictionNotes | None:
    """How `swtformer predict` made the masks of a folder; None for other masks.

    Raises:
        SwtformerError: predictions.json beside the folder is damaged.
    """
    return read_notes(Run(folder.parent).predictions_file, PredictionNotes, remedy="Predict again.")


def predicted_photographs(folder: Path) -> dict[str, Path]:
    """Photographs of the masks that `swtformer predict` wrote to `folder`, by id, as far as they still exist.

    Raises:
        SwtformerError: areas.json beside the folder cannot be read, or does not list photographs.
    """
    listed = read_notes(Run(folder.parent).areas_file, Areas, remedy="Predict again.")
    if listed is None or prediction_notes(folder) is None:
        return {}
    return {row.image: row.file for row in listed.images if row.file.is_file()}
