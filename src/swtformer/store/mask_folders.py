"""Folders of masks <id>.png: those of a run, those that `predict` wrote, and any others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from swtformer.errors import SwtformerError
from swtformer.store.files import read_json
from swtformer.store.run import Run

MaskSource = Literal["auto", "pseudo_masks", "masks", "corrected_masks", "predictions"]
"""Which masks of a run; "auto" takes pseudo_masks, or masks if there are none."""

_ORIGINS: dict[MaskSource, str] = {
    "auto": "make masks with `swtformer pseudo-label` or `swtformer mask`.",
    "pseudo_masks": "make these masks with `swtformer pseudo-label`.",
    "masks": "make these masks with `swtformer mask`.",
    "corrected_masks": "`swtformer import` makes it from masks that were corrected in another tool.",
    "predictions": "name the folder that `swtformer predict` made instead of the run.",
}
"""What to do if a run lacks masks."""

PREDICTIONS_FILE = "predictions.json"
AREAS_FILE = "areas.json"
"""Files that `swtformer predict` writes next to its folder of masks; the second lists the photographs."""


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
    return folder / "masks" if (folder / PREDICTIONS_FILE).is_file() else folder


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
    for place in (folder, folder.parent):
        file = place / "classes.json"
        if file.is_file():
            return _names(read_json(file), file)
    file = folder.parent / PREDICTIONS_FILE
    if file.is_file():
        facts = read_json(file)
        names = _names(facts.get("classes") if isinstance(facts, dict) else None, file)
        return names[1:]  # the first is background
    return None


def predicted_photographs(folder: Path) -> dict[str, Path]:
    """Photographs of the masks that `swtformer predict` wrote to `folder`, by id, as far as they still exist.

    Raises:
        SwtformerError: areas.json beside the folder cannot be read, or does not list photographs.
    """
    file = folder.parent / AREAS_FILE
    if not (folder.parent / PREDICTIONS_FILE).is_file() or not file.is_file():
        return {}
    content = read_json(file)
    try:
        listed = {str(row["image"]): Path(row["file"]) for row in content["images"]}
    except (KeyError, TypeError) as error:
        raise SwtformerError(
            f"{file}: is not what `swtformer predict` writes ({error!r}); predict again."
        ) from None
    return {id: photograph for id, photograph in listed.items() if photograph.is_file()}


def predicted_grid(folder: Path) -> Literal["raw", "apply"]:
    """EXIF handling of the masks that `swtformer predict` wrote to `folder` (`DataSettings.exif`)."""
    facts = read_json(folder.parent / PREDICTIONS_FILE)
    return "apply" if isinstance(facts, dict) and facts.get("exif") == "apply" else "raw"


def _names(value: object, file: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SwtformerError(f"{file}: expected a list of class names.")
    return tuple(value)
