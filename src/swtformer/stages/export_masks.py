"""Export masks in the format of another tool: those of a run, of a folder, or of what `predict` made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swtformer.datasets import open_dataset
from swtformer.datasets.images import has_rotation, read_image
from swtformer.datasets.label_images import read_labels, require_same_size
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, ImageError, PluginError, SettingsError, SwtformerError
from swtformer.exporters import Exporter, LabelledImage, exporter
from swtformer.in_order import in_order
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.review.decisions import Decision, decided_ids
from swtformer.settings import ImageSettings, Settings
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.known_data import data_of_masks
from swtformer.store.mask_folders import (
    MaskSource,
    declared_classes,
    mask_folder,
    mask_ids,
    masks_in,
    predicted_photographs,
    prediction_notes,
)
from swtformer.store.run import Run

Grid = Literal["raw", "apply"]

UNNAMED_EXTENSION = ".jpg"
"""Extension of image files in an export without a data set."""


@dataclass(frozen=True, repr=False)
class ExportedMasks(ShortRepr):
    """What was exported.

    Attributes:
        folder: of the masks.
        images: number of masks written.
        failures: masks that were left out.
        warnings: what the format could not hold, and what the user should know.
    """

    folder: Path
    images: int
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]


@shows_progress
def export_masks(
    masks: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    format: str,
    source: MaskSource = "auto",
    decision: Literal["all"] | Decision = "all",
    data: ImageSet | None = None,
    settings: Settings | None = None,
    progress: Progress = shown,
) -> ExportedMasks:
    """Write masks in the format of another tool.

    A mask is left out if it or its image cannot be read, or if the data set does not have the image; a run's
    failures.csv lists these.

    Args:
        masks: a run, a folder of masks <id>.png, or what `predict` made.
        out: file or folder to make, as the format requires.
        format: name of a format (`exporters.EXPORTERS`).
        source: which masks of a run; auto takes pseudo_masks, or masks if there are none.
        decision: only the pseudo-masks or corrected masks with this decision of the review.
        data: the images. If None, those that the run or `predict` knows; for other masks, file names end in
            .jpg and sizes are not checked.
        settings: the sections data, export and exporter are used; the run's own, or defaults, if None.
        progress: called for every mask.

    Raises:
        SettingsError: `source` or `decision` is given for masks that have none.
        SwtformerError: there are no such masks, their classes or the run's data set are not known, no mask
            can be exported, `out` is not what the format writes or already holds something, or a mask has
            values without a class or another size than its image.
    """
    run, out = Run(masks), Path(out)
    is_run = run.settings_file.is_file()
    if not is_run and source != "auto":
        raise SettingsError("`source` chooses among a run's masks; a folder of masks is exported whole.")
    folder = mask_folder(run, source) if is_run else masks_in(run.path)
    ids = mask_ids(folder)
    if decision != "all":
        ids = _with_decision(run, folder, decision, ids)
    if data is None and is_run:
        path, known = data_of_masks(run, None)
        data = open_dataset(path, known.data, reader=known.reader)
        settings = settings or known
    settings = settings or (run.settings() if is_run else Settings())
    plug_in = exporter(format, settings.exporter)
    _require_target(plug_in, out)
    names = run.classes() if is_run else declared_classes(folder) or (data.classes if data else None)
    if names is None:
        raise SwtformerError(f"{folder}: its class names are not known; name the data set by `data`.")
    pixels = settings.data.images_alone()
    if data is not None:
        photographs = {record.id: record.image for record in data.records}
    else:
        photographs = predicted_photographs(folder)
        made = prediction_notes(folder)
        if photographs and made is not None:
            pixels = pixels.model_copy(update={"exif": made.exif})
    failures: list[Failure] = []
    written: list[str] = []

    def load(id: str) -> LabelledImage | Failure:
        if data is not None and id not in photographs:
            return Failure(id, "export", str(folder / f"{id}.png"), "the data set has no image of this id")
        return _load(folder / f"{id}.png", id, names, photographs.get(id), pixels)

    def images() -> Iterator[LabelledImage]:
        for item in in_order("export", load, ids, progress):
            if isinstance(item, Failure):
                failures.append(item)
            else:
                written.append(item.id)
                yield item
        if not written:
            raise DataError(f"{folder}: none of its {len(ids)} masks can be exported: {failures[0].reason}")

    warnings = plug_in.write(images(), out, classes=names, settings=settings.export)
    if not isinstance(warnings, list) or not out.exists():
        raise PluginError(
            f"The exporter {format!r}: write gave {type(warnings).__name__} and "
            f"{'wrote' if out.exists() else 'did not write'} {out}; expected a list of warnings, and a file "
            "or folder of this name."
        )
    warnings += _warnings([photographs.get(id) for id in written], pixels.exif)
    if is_run:
        write_failures(run, "export", failures)
    return ExportedMasks(folder, len(written), tuple(failures), tuple(warnings))


def _with_decision(run: Run, folder: Path, decision: Decision, ids: Sequence[str]) -> list[str]:
    """The ids with a decision of the review of that folder."""
    if folder == run.pseudo_masks:
        decided = decided_ids(run, decision)
    elif folder == run.corrected_masks:
        decided = decided_ids(run, decision, "corrected_masks")
    else:
        raise SettingsError(
            "`decision` chooses among a run's pseudo_masks or corrected_masks; name that run."
        )
    found = [id for id in ids if id in decided]
    if not found:
        raise SwtformerError(
            f"{folder}: holds none of the {len(decided)} masks with the decision {decision!r}. Were they "
            "removed since the review?"
        )
    return found


def _require_target(format: Exporter, out: Path) -> None:
    if format.suffix and out.suffix.lower() != format.suffix:
        raise SwtformerError(
            f"{out}: the format {format.name} writes one file; its name must end in {format.suffix}."
        )
    if format.suffix and out.is_dir():
        raise SwtformerError(f"{out}: is a folder; expected the name of a {format.suffix} file.")


def _load(
    path: Path, id: str, classes: Sequence[str], photograph: Path | None, images: ImageSettings
) -> LabelledImage | Failure:
    """Read one mask and, if it is known, its image.

    Raises:
        DataError: the mask has values without a class, or another size than its image.
    """
    try:
        labels = read_labels(path, classes)
        if photograph is None:
            return LabelledImage(id, id + UNNAMED_EXTENSION, None, labels)
        height, width, _ = read_image(photograph, images).shape
    except ImageError as error:
        return Failure(id, "export", str(photograph or path), str(error))
    require_same_size(labels.shape, path, (height, width), f"its image {photograph}")
    return LabelledImage(id, id + photograph.suffix, photograph, labels)


def _warnings(photographs: Sequence[Path | None], exif: Grid) -> list[str]:
    """What the user should know about the photographs of the exported masks."""
    warnings = []
    named = [photograph for photograph in photographs if photograph is not None]
    if len(named) < len(photographs):
        warnings.append(
            f"No data set is named, so {len(photographs) - len(named)} of {len(photographs)} images are "
            f"assumed to be called <id>{UNNAMED_EXTENSION} and to have the sizes of their masks; name it by "
            "`data`."
        )
    rotated = sum(has_rotation(photograph) for photograph in named) if exif == "raw" else 0
    if rotated:
        warnings.append(
            f"{rotated} images have an EXIF orientation. Their masks fit the stored pixels, but most tools "
            "turn such images upright; make the masks with data.exif apply."
        )
    return warnings
