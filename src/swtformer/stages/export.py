"""Write a run's masks, or any folder of masks, in the format of another tool."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from swtformer.datasets.images import has_rotation, read_image
from swtformer.datasets.label_images import read_labels, require_same_size
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, ImageError, SwtformerError
from swtformer.exporters import ExchangeFormat, Exporter, LabelledImage, exporter
from swtformer.exporters.provenance import Provenance, fingerprint
from swtformer.in_order import in_order
from swtformer.progress import Progress, silent
from swtformer.settings import ExportSettings
from swtformer.store.failures import Failure
from swtformer.store.files import read_json
from swtformer.store.pseudo_masks import making_of
from swtformer.store.run import Run

MaskSource = Literal["auto", "pseudo_masks", "masks", "corrected_masks", "predictions"]
SOURCES: tuple[MaskSource, ...] = ("pseudo_masks", "masks")
"""Folders of a run that `auto` looks for masks in, in this order."""

_ORIGINS: dict[MaskSource, str] = {
    "auto": "make masks with `swtformer pseudo-label` or `swtformer mask`.",
    "pseudo_masks": "make these masks with `swtformer pseudo-label`.",
    "masks": "make these masks with `swtformer mask`.",
    "corrected_masks": "masks that were corrected in another tool come back by `swtformer import`.",
    "predictions": "name the folder that `swtformer predict` made instead of the run.",
}
"""What to do where a run lacks masks."""

PREDICTIONS_FILE = "predictions.json"
AREAS_FILE = "areas.json"
"""Files of `swtformer predict` beside its folder of masks; the second names every photograph."""

UNNAMED_EXTENSION = ".jpg"
"""Extension that image files are taken to have where no data set says so."""


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        images: number of masks written.
        failures: masks that were left out.
        warnings: what the format could not hold, and what the user should know.
    """

    images: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]


def mask_folder(run: Run, source: MaskSource = "auto") -> Path:
    """Folder of a run's masks.

    Raises:
        SwtformerError: the run has none, or not those that are asked for.
    """
    wanted = SOURCES if source == "auto" else (source,)
    for name in wanted:
        if (run.path / name).is_dir():
            return masks_in(run.path / name)
    raise SwtformerError(f"{run.path} has no folder {' or '.join(wanted)}; {_ORIGINS[source]}")


def masks_in(folder: Path) -> Path:
    """The folder that masks lie in: the sub-folder masks of what `swtformer predict` made, else itself."""
    return folder / "masks" if (folder / PREDICTIONS_FILE).is_file() else folder


def declared_classes(folder: Path) -> tuple[str, ...] | None:
    """Class names that belong to a folder of masks; None where nobody says so.

    They come from classes.json in the folder or the one above it, else from what `swtformer predict` wrote
    there.

    Raises:
        SwtformerError: the file holds no list of names.
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
    """Photographs of the masks that `swtformer predict` made, by id; those that are still where they were.

    Args:
        folder: masks; of any others, nothing is known.

    Raises:
        SwtformerError: areas.json beside the folder cannot be read, or lists no photographs.
    """
    file = folder.parent / AREAS_FILE
    if not (folder.parent / PREDICTIONS_FILE).is_file() or not file.is_file():
        return {}
    content = read_json(file)
    try:
        listed = {str(row["image"]): Path(row["file"]) for row in content["images"]}
    except (KeyError, TypeError) as error:
        raise SwtformerError(
            f"{file}: is not what `swtformer predict` writes ({error!r}); predict anew."
        ) from None
    return {id: photograph for id, photograph in listed.items() if photograph.is_file()}


def _predicted_grid(folder: Path) -> Literal["raw", "apply"]:
    """Pixel grid that predicted masks lie on."""
    facts = read_json(folder.parent / PREDICTIONS_FILE)
    return "apply" if isinstance(facts, dict) and facts.get("exif") == "apply" else "raw"


def _names(value: object, file: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SwtformerError(f"{file}: expected a list of class names.")
    return tuple(value)


def export(
    folder: Path,
    out: Path,
    *,
    only: Collection[str] | None = None,
    format: str,
    classes: Sequence[str],
    data: ImageSet | None = None,
    exif: Literal["raw", "apply"] = "raw",
    settings: ExportSettings | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Write all masks of a folder in another tool's format, with notes for the way back.

    A mask is left out, with a row among the failures, when it cannot be read, when the data set has no
    image of its id, or when that image cannot be read whole.

    Args:
        folder: <id>.png label images, in sub-folders too.
        out: file or folder to make, as the format wants.
        only: ids of the masks to export; all of them where None.
        format: name of a format (`exporters.EXPORTERS`).
        classes: class names in the order of the mask values 1, 2, …
        data: the images. Without them those that `swtformer predict` segmented are taken; for other masks
            file names end in .jpg, and sizes are not checked.
        exif: grid that the masks lie on (`DataSettings.exif`); predicted ones say it themselves.
        settings: defaults where None.
        options: options of the format (section `exporter` of the settings).
        progress: told about every mask.

    Raises:
        SwtformerError: there is no mask that can be exported, `out` is not what the format writes or already
            holds something, a mask has values that are no class, or not its image's size.
    """
    settings = settings or ExportSettings()
    plug_in = exporter(format, options)
    _require_target(plug_in, out)
    ids = [id for id in mask_ids(folder) if only is None or id in only]
    if not ids:
        raise SwtformerError(
            f"{folder}: holds none of the {len(only or ())} masks that are asked for. Were masks "
            "removed since they were reviewed?"
        )
    if data is not None:
        photographs = {record.id: record.image for record in data.records}
    elif photographs := predicted_photographs(folder):
        exif = _predicted_grid(folder)
    failures: list[Failure] = []
    written = rotated = unnamed = 0
    making = making_of(folder)

    def load(id: str) -> LabelledImage | Failure:
        if data is not None and id not in photographs:
            return Failure(id, "export", str(folder / f"{id}.png"), "the data set has no image of this id")
        item = _load(folder / f"{id}.png", id, classes, photographs.get(id), exif)
        if isinstance(item, Failure):
            return item
        if not isinstance(plug_in, ExchangeFormat):
            return item
        untouched = fingerprint(plug_in.as_it_returns(item.labels, ignored=settings.ignored))
        return replace(item, provenance=Provenance(making, settings.ignored, untouched))

    def images() -> Iterator[LabelledImage]:
        nonlocal written, rotated, unnamed
        for item in in_order("export", load, ids, progress):
            if isinstance(item, Failure):
                failures.append(item)
            else:
                written += 1
                unnamed += item.image is None
                rotated += exif == "raw" and _is_rotated(item)
                yield item
        if not written:
            raise DataError(f"{folder}: none of its {len(ids)} masks can be exported: {failures[0].reason}")

    warnings = plug_in.write(images(), out, classes=classes, settings=settings)
    if unnamed:
        warnings.append(
            f"No data set is named, so the images are taken to be called <id>{UNNAMED_EXTENSION} and to have "
            f"the masks' sizes ({unnamed} of {written}); name it by --data."
        )
    if rotated:
        warnings.append(
            f"{rotated} images have an EXIF orientation. Their masks lie on the stored pixel grid, but most "
            "tools turn such images upright; make the masks with --data.exif apply."
        )
    return ExportResult(written, tuple(failures), tuple(warnings))


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
        what = "holds no masks; expected <id>.png files" if folder.is_dir() else "is no folder of masks"
        raise SwtformerError(f"{folder}: {what}. `swtformer pseudo-label RUN` makes those of a run.")
    return ids


def _require_target(plug_in: Exporter, out: Path) -> None:
    if plug_in.suffix and out.suffix.lower() != plug_in.suffix:
        raise SwtformerError(
            f"{out}: the format {plug_in.name} writes one file; its name must end in {plug_in.suffix}."
        )
    if plug_in.suffix and out.is_dir():
        raise SwtformerError(f"{out}: is a folder; expected the name of a {plug_in.suffix} file.")


def _load(
    path: Path,
    id: str,
    classes: Sequence[str],
    photograph: Path | None,
    exif: Literal["raw", "apply"],
) -> LabelledImage | Failure:
    """Read one mask and, where it is known, its image.

    Raises:
        DataError: the mask is no label image of these classes, or not of its image's size.
    """
    try:
        labels = read_labels(path, classes)
        if photograph is None:
            return LabelledImage(id, id + UNNAMED_EXTENSION, None, labels)
        height, width, _ = read_image(photograph, exif=exif).shape
    except ImageError as error:
        return Failure(id, "export", str(photograph or path), str(error))
    require_same_size(labels.shape, path, (height, width), f"its image {photograph}")
    return LabelledImage(id, id + photograph.suffix, photograph, labels)


def _is_rotated(item: LabelledImage) -> bool:
    return item.image is not None and has_rotation(item.image)
