"""Bring masks that were corrected in another tool back into a run, beside those that were not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swtformer.datasets.images import image_size
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError, ImageError, SwtformerError
from swtformer.exporters import Correction, Exporter, Known, Reading, exporter, recognise
from swtformer.exporters.base import movable
from swtformer.exporters.reading import UNKNOWN_IMAGE
from swtformer.masks import write_mask
from swtformer.run import Failure, Progress, Run, silent, write_failures, write_json
from swtformer.stages.corrections import NOTES, read_corrections
from swtformer.stages.export import MaskSource, mask_folder, mask_ids, read_labels


@dataclass(frozen=True)
class ImportResult:
    """What came back.

    Attributes:
        folder: where all masks lie now.
        base: folder of the masks before correction.
        corrected: changed pixels by id, of the masks that differ from those in `base`.
        unchanged: ids of the masks that came back as they were.
        kept: ids of the images that the file has no mask of; their masks are those of `base`.
        failures: images of the file that the run does not have, and masks of `base` that cannot be read.
        warnings: what the user should know.
    """

    folder: Path
    base: Path
    corrected: dict[str, int]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Merged:
    """One mask after correction.

    Attributes:
        labels: (H, W) uint8.
        changed: pixels that differ from the mask before.
        is_emptied: whether nothing is drawn any more in a mask that had something.
    """

    labels: np.ndarray
    changed: int
    is_emptied: bool


def import_masks(
    run: Run,
    file: Path,
    *,
    format: str = "auto",
    base: MaskSource = "auto",
    out: Path | None = None,
    progress: Progress = silent,
) -> ImportResult:
    """Write a folder with a mask of every image: corrected where the file has one, else as it was.

    The folder replaces one of an earlier import; corrections.json in it says which masks were corrected,
    those of the imports that it adds to as well.
    Nothing is written unless the whole file can be used.

    Args:
        run: a run with masks, whose ids, sizes and class names hold.
        file: what the tool exported.
        format: name of its format; recognised where "auto".
        base: the run's masks before correction; "corrected_masks" adds to an earlier import.
        out: folder to make; the run's corrected_masks where None.
        progress: told about every mask.

    Raises:
        DataError: everything in the file that cannot be used, at once.
        SwtformerError: the run has no masks, or `out` holds something else.
    """
    plug_in = recognise(file) if format == "auto" else exporter(format)
    before = mask_folder(run, base)
    target = out or run.corrected_masks
    earlier = read_corrections(before)
    known, failures = _known(before)
    problems = Problems()
    reading = Reading(known, run.classes(), problems)
    with _replaced(target) as folder:
        changes, emptied = _write_corrections(plug_in, file, reading, folder, progress)
        problems.raise_fatal(str(file))
        if not changes:
            raise DataError(
                f"{file}: has no mask of any image in {before}. Is it another data set's export, or one "
                "without saved annotations?"
            )
        kept = []
        for id in known.keys() - changes.keys():
            try:
                write_mask(folder / f"{id}.png", read_labels(known[id].source, reading.classes))
                kept.append(id)
            except ImageError as error:
                failures.append(Failure(id, "import", str(known[id].source), str(error)))
            progress("import", len(changes) + len(kept), len(known))
        corrected = {id: pixels for id, pixels in sorted(changes.items()) if pixels}
        unchanged = sorted(changes.keys() - corrected.keys())
        whole = corrected if earlier is None else {**earlier.corrected, **corrected}
        notes = {
            "format": plug_in.name,
            "file": str(file.resolve()),
            "base": str(before.resolve() if earlier is None else earlier.base),
            "corrected": dict(sorted(whole.items())),
            "unchanged": [id for id in unchanged if id not in whole],
            "not_in_file": [id for id in sorted(kept) if id not in whole],
        }
        write_json(folder / NOTES, notes)
    for problem in problems.warnings:
        if problem.kind == UNKNOWN_IMAGE:
            failures.append(Failure(problem.id or "", "import", str(file), problem.message))
    write_failures(run, "import", failures)
    warnings = [problem.message for problem in problems.warnings if problem.kind != UNKNOWN_IMAGE]
    if emptied:
        warnings.append(
            f"{len(emptied)} images come back all background, though their masks had classes: "
            f"{', '.join(emptied[:5])}{', …' if len(emptied) > 5 else ''}. Was anything drawn in them?"
        )
    return ImportResult(
        target, before, corrected, tuple(unchanged), tuple(sorted(kept)), tuple(failures), tuple(warnings)
    )


def _known(folder: Path) -> tuple[dict[str, Known], list[Failure]]:
    """The masks before correction and their sizes; those without a readable header are failures."""
    known: dict[str, Known] = {}
    failures = []
    for id in mask_ids(folder):
        path = folder / f"{id}.png"
        try:
            known[id] = Known(image_size(path), path)
        except ImageError as error:
            failures.append(Failure(id, "import", str(path), str(error)))
    return known, failures


def _write_corrections(
    plug_in: Exporter, file: Path, reading: Reading, folder: Path, progress: Progress
) -> tuple[dict[str, int], list[str]]:
    """Write what comes back.

    Returns:
        Changed pixels by id, and the ids whose masks lost all they had.
    """
    changes: dict[str, int] = {}
    emptied = []
    for correction in plug_in.read(file, reading):
        merged = _merged(correction, plug_in, reading)
        write_mask(folder / f"{correction.id}.png", merged.labels)
        changes[correction.id] = merged.changed
        if merged.is_emptied:
            emptied.append(correction.id)
        progress("import", len(changes), len(reading.images))
    return changes, emptied


def _merged(correction: Correction, plug_in: Exporter, reading: Reading) -> _Merged:
    """A correction over the mask before: where the format lost something and nobody drew, it stays."""
    try:
        before = read_labels(reading.images[correction.id].source, reading.classes)
    except ImageError:  # the correction replaces a mask that cannot be read any more
        return _Merged(correction.labels, correction.labels.size, is_emptied=False)
    untouched = plug_in.as_it_returns(before)
    labels = np.where(correction.labels == untouched, before, correction.labels)
    is_emptied = bool(untouched.any() and not correction.labels.any())
    return _Merged(labels, int(np.count_nonzero(labels != before)), is_emptied)


@contextmanager
def _replaced(target: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of an earlier import when the block ends well.

    Raises:
        SwtformerError: `target` holds something else, is the current folder, or cannot be written.
    """
    target = movable(target)
    partial, old = (target.with_name(f".{target.name}.{end}") for end in ("partial", "old"))
    try:
        if old.is_dir() and not target.exists():  # stopped between the two steps below
            old.replace(target)
        is_ours = not target.exists() or (
            target.is_dir() and ((target / NOTES).is_file() or not any(target.iterdir()))
        )
        if target.is_symlink() or not is_ours:
            raise SwtformerError(
                f"{target}: holds something else than an earlier import; name another folder by --out."
            )
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.replace(old)
        partial.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise SwtformerError(f"{target}: cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
