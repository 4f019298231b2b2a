"""Import masks that were corrected in another tool, and add copies of those that were not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from swtformer.datasets.label_images import read_labels, require_known_labels
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError, ImageError, some
from swtformer.exporters import Known, Reading, exchange_format, recognise
from swtformer.exporters.fingerprints import fingerprint
from swtformer.exporters.reading import PASSED_OVER, UNKNOWN_IMAGE
from swtformer.in_order import in_order
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.review.changes import change
from swtformer.short_repr import ShortRepr
from swtformer.store.corrections import NOTES, Corrections, read_corrections, write_corrections
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import new_folder
from swtformer.store.mask_folders import MaskSource, mask_folder, mask_ids
from swtformer.store.masks import write_mask
from swtformer.store.pseudo_masks import version_of
from swtformer.store.run import Run

SHOWN = 5
"""Ids that a warning names."""


@dataclass(frozen=True, repr=False)
class ImportResult(ShortRepr):
    """What was imported.

    Attributes:
        folder: where all masks are now.
        base: folder of the masks before any correction.
        earlier: ids of the masks that earlier imports had corrected.
        corrected: number of changed pixels by id, of the masks that this import changed.
        unchanged: ids of the other masks in the file.
        kept: ids of the images that the file has no mask of.
        failures: images of the file that the run does not have, and masks of the run that cannot be read.
        passed_over: regions of the file that are not masks, such as boxes, each with its image.
        warnings: what the user should know.
    """

    folder: Path
    base: Path
    earlier: tuple[str, ...]
    corrected: dict[str, int]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    failures: tuple[Failure, ...]
    passed_over: tuple[Failure, ...]
    warnings: tuple[str, ...]


@shows_progress
def import_masks(
    run: Run,
    file: str | os.PathLike[str],
    *,
    format: str = "auto",
    base: MaskSource = "auto",
    out: str | os.PathLike[str] | None = None,
    empty: Literal["keep", "background"] = "keep",
    strict: bool = False,
    progress: Progress = shown,
) -> ImportResult:
    """Write a folder with a mask of every image: a corrected one, or a copy of the one in `base`.

    A mask of the file replaces the run's if it differs from what was exported (`review.changes.change`).
    Corrections of earlier imports are kept, except that of a mask that the file changes as well. A region
    that is not a mask (a box, a line, …) is passed over; an image with no other regions keeps its mask, and
    so does one without any region (see `empty`). Otherwise nothing is written unless the whole file can be
    used.

    Args:
        run: a run with masks, which has the ids, sizes and class names.
        file: what the tool exported.
        format: name of its format; "auto" recognises it.
        base: the run's masks before any correction. "auto" adds to the import in `out`, else to the one in
            the run's corrected_masks, else takes pseudo_masks or masks. "pseudo_masks" starts over.
        out: folder to make; the run's corrected_masks if None.
        empty: what an image means that the file lists without any region and without the fingerprint of an
            export: it was not looked at and keeps its mask, or it is all background.
        strict: refuse a file with a region that is not a mask.
        progress: called for every mask.

    Raises:
        DataError: the file cannot be used, all its problems are listed; or no mask was found in it, unless
            `empty` says that this means background.
        SwtformerError: the run has no masks, or `out` is not an earlier import.
    """
    file = Path(file)
    plug_in = recognise(file) if format == "auto" else exchange_format(format)
    target = run.corrected_masks if out is None else Path(out)
    classes = run.classes()
    problems = Problems()
    with new_folder(target, replaces=_is_import) as folder:
        start = _start(run, base, target)
        earlier = read_corrections(start) or Corrections(base=start, corrected={})
        known, failures = _known(start, earlier, classes, progress)
        corrected = {id: digest for id, digest in earlier.corrected.items() if id in known}
        changes: dict[str, int] = {}
        emptied: list[str] = []
        blank: list[str] = []
        conflicts: list[str] = []
        foreign: list[str] = []
        is_drawn = False
        reading = Reading(known, classes, problems, strict=strict)
        for done, item in enumerate(plug_in.read(file, reading), start=1):
            id = item.id
            require_known_labels(item.labels, item.source, classes)
            is_drawn = is_drawn or item.is_drawn
            progress("import", done, len(known))
            current = read_labels(known[id].source, classes)
            if empty == "keep" and not item.is_drawn and item.exported is None and current.any():
                blank.append(id)
                continue
            is_corrected = id in earlier.corrected
            original = _original(earlier.base / f"{id}.png", current, classes) if is_corrected else current
            found = change(item, current, original, plug_in)
            changes[id] = found.pixels
            if found.pixels:
                write_mask(folder / f"{id}.png", found.labels)
                corrected[id] = fingerprint(found.labels)
                if current.any() and not item.labels.any():
                    emptied.append(id)
                if is_corrected and found.exported_from != "current":
                    conflicts.append(id)
            if found.exported_from == "other" and not is_corrected:
                foreign.append(id)
        problems.raise_fatal(str(file))
        has_nothing = empty == "keep" and not is_drawn and (blank or any(changes.values()))
        if not changes or has_nothing:
            raise DataError(_nothing_found(file, start, len(changes) + len(blank), problems))
        for id, mask in known.items():
            if not changes.get(id):
                (folder / f"{id}.png").parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(mask.source, folder / f"{id}.png")
        version = version_of(earlier.base)
        write_corrections(folder, Corrections(base=earlier.base, corrected=corrected, version=version))
    failures += _noted(problems, UNKNOWN_IMAGE, file)
    passed_over = _noted(problems, PASSED_OVER, file)
    write_failures(run, "import", [*failures, *passed_over])
    return ImportResult(
        folder=target,
        base=earlier.base,
        earlier=tuple(sorted(earlier.corrected)),
        corrected={id: pixels for id, pixels in sorted(changes.items()) if pixels},
        unchanged=tuple(sorted(id for id, pixels in changes.items() if not pixels)),
        kept=tuple(sorted(known.keys() - changes.keys())),
        failures=tuple(failures),
        passed_over=tuple(passed_over),
        warnings=(
            *(item.message for item in problems.warnings if item.kind not in {UNKNOWN_IMAGE, PASSED_OVER}),
            *_warnings(blank, emptied, conflicts, foreign),
        ),
    )


def _noted(problems: Problems, kind: str, file: Path) -> list[Failure]:
    """The warnings of a kind, as rows of failures.csv."""
    found = [problem for problem in problems.warnings if problem.kind == kind]
    return [Failure(problem.id or "", "import", str(file), problem.message) for problem in found]


def _nothing_found(file: Path, start: Path, listed: int, problems: Problems) -> str:
    """Message for a file that lists images of the run, or none of them, but has no mask of any."""
    if listed:
        message = (
            f"{file}: lists {listed} images of {start}, but has no mask of any. Nothing was imported. Were "
            "the annotations saved before the export?"
        )
    else:
        message = (
            f"{file}: has no mask of any image in {start}. Is it an export of another data set, or one "
            "without saved annotations?"
        )
    noted = [item.message for item in problems.warnings if item.kind in {UNKNOWN_IMAGE, PASSED_OVER}]
    more = [f"… and {len(noted) - SHOWN} more."] if len(noted) > SHOWN else []
    return "\n  ".join([message, *noted[:SHOWN], *more])


def _is_import(folder: Path) -> bool:
    return (folder / NOTES).is_file()


def _start(run: Run, base: MaskSource, target: Path) -> Path:
    """Folder of the masks before this import.

    Raises:
        SwtformerError: the run has no such masks.
    """
    imports = [folder for folder in (target, run.corrected_masks) if _is_import(folder)]
    return imports[0] if base == "auto" and imports else mask_folder(run, base)


def _known(
    start: Path, earlier: Corrections, classes: Sequence[str], progress: Progress
) -> tuple[dict[str, Known], list[Failure]]:
    """The masks before this import, and those that cannot be read: corrected masks, others from the base."""
    files = {id: earlier.base / f"{id}.png" for id in mask_ids(earlier.base)}
    files |= {id: start / f"{id}.png" for id in earlier.corrected}

    def check(id: str) -> Known | Failure:
        try:
            height, width = read_labels(files[id], classes).shape
        except ImageError as error:
            return Failure(id, "import", str(files[id]), str(error))
        return Known((height, width), files[id])

    results = dict(zip(files, in_order("check masks", check, list(files), progress), strict=True))
    known = {id: result for id, result in results.items() if isinstance(result, Known)}
    return known, [result for result in results.values() if isinstance(result, Failure)]


def _original(path: Path, current: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """The mask before its correction; the current one if that was removed or has another size by now."""
    try:
        labels = read_labels(path, classes)
    except ImageError:
        return current
    return labels if labels.shape == current.shape else current


def _warnings(
    blank: Sequence[str], emptied: Sequence[str], conflicts: Sequence[str], foreign: Sequence[str]
) -> list[str]:
    warnings = []
    if blank:
        warnings.append(
            f"{_named(blank)} left as in the run, as the file lists the image without any region: nobody may "
            "have looked at it. If everything was erased there, import again with `empty` background."
        )
    if emptied:
        warnings.append(
            f"{_named(emptied)} all background in the file, but not in the run. Was anything drawn there?"
        )
    if conflicts:
        warnings.append(
            f"{_named(conflicts)} corrected before, and differently in this file. The file's masks replace "
            "the earlier corrections; to keep both, export the corrected masks and correct those."
        )
    if foreign:
        warnings.append(
            f"{_named(foreign)} exported from other masks than the run has now. Those changed since then "
            "replace the run's as a whole; the others are left out, and the run keeps its own."
        )
    return warnings


def _named(ids: Sequence[str]) -> str:
    return f"1 mask ({ids[0]}) was" if len(ids) == 1 else f"{len(ids)} masks ({some(ids)}) were"
