"""Export masks by the name of what holds them: a run, a folder of masks, or what `predict` made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swtformer.datasets import open_dataset
from swtformer.datasets.records import ImageSet
from swtformer.errors import SettingsError, SwtformerError
from swtformer.progress import Progress, silent
from swtformer.review.decisions import Decision, decided_ids
from swtformer.settings import Settings
from swtformer.stages.export import MaskSource, declared_classes, export, mask_folder, mask_ids, masks_in
from swtformer.store.failures import Failure, write_failures
from swtformer.store.known_data import data_of_masks
from swtformer.store.run import Run


@dataclass(frozen=True)
class ExportedMasks:
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


def export_masks(
    masks: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    format: str,
    source: MaskSource = "auto",
    decision: Literal["all"] | Decision = "all",
    data: ImageSet | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> ExportedMasks:
    """Write masks in the format of another tool.

    A mask is left out when it cannot be read, when the data set has no image of its id, or when that image
    cannot be read whole; failures.csv of a run lists those.

    Args:
        masks: a run, a folder of masks <id>.png, or what `predict` made.
        out: file (coco, label-studio: .json; cvat: .zip) or folder (voc, yolo) to make.
        format: coco, voc, yolo, label-studio or cvat.
        source: which masks of a run; auto takes pseudo_masks, else masks.
        decision: only the pseudo-masks or corrected masks with this decision of the review.
        data: the images. Those of the run where None; of other masks, see `stages.export.export`.
        settings: the data and export sections are used; the run's own, or defaults, where None.
        progress: told about every mask.

    Raises:
        SettingsError: `source` or `decision` chooses where there is nothing to choose from.
        SwtformerError: there are no such masks, nothing says their classes, the run's data set is not known,
            or they cannot be exported (`stages.export.export`).
    """
    run = Run(masks)
    is_run = run.settings_file.is_file()
    if not is_run and source != "auto":
        raise SettingsError("--source chooses among a run's masks; a folder of masks is exported whole.")
    folder = mask_folder(run, source) if is_run else masks_in(run.path)
    mask_ids(folder)  # a wrong folder is told before its class names are asked for
    only = None if decision == "all" else _decided(run, folder, decision)
    if data is None and is_run:
        path, known = data_of_masks(run, None)
        data = open_dataset(path, known.data, reader=known.reader)
        settings = settings or known
    settings = settings or (run.settings() if is_run else Settings())
    classes = run.classes() if is_run else declared_classes(folder)
    if classes is None and data is not None:
        classes = data.classes
    if classes is None:
        raise SwtformerError(f"{folder}: its class names are not known; name the data set by --data.")
    made = export(
        folder,
        Path(out),
        only=only,
        format=format,
        classes=classes,
        data=data,
        exif=settings.data.exif,
        settings=settings.export,
        options=settings.exporter,
        progress=progress,
    )
    if is_run:
        write_failures(run, "export", made.failures)
    return ExportedMasks(folder, made.images, made.failures, made.warnings)


def _decided(run: Run, folder: Path, decision: Decision) -> frozenset[str]:
    """Ids of the masks with a decision of the review of that folder."""
    if folder == run.pseudo_masks:
        return decided_ids(run, decision)
    if folder == run.corrected_masks:
        return decided_ids(run, decision, "corrected_masks")
    raise SettingsError("--decision chooses among a run's pseudo_masks or corrected_masks; name that run.")
