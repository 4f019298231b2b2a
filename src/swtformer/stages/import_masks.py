"""Bring masks that were corrected in another tool back into a run, beside those that were not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
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
from swtformer.stages.corrections import NOTES, Corrections, read_corrections
from swtformer.stages.export import MaskSource, mask_folder, mask_ids, read_labels
from swtformer.stages.review import making

SHOWN = 5
"""Ids that a warning names."""


@dataclass(frozen=True)
class ImportResult:
    """What came back.

    Attributes:
        folder: where all masks lie now.
        base: folder of the masks before correction; those of an earlier import, where it was added to.
        origin: folder of the masks before any correction.
        earlier: ids of the masks that imports before this one had corrected, and that it started from.
        corrected: changed pixels by id, of the masks that differ from those in `base`.
        unchanged: ids of the masks that came back as they were.
        kept: ids of the images that the file has no mask of; their masks are those of `base`.
        failures: images of the file that the run does not have, and masks of `base` that cannot be read.
        warnings: what the user should know.
    """

    folder: Path
    base: Path
    origin: Path
    earlier: tuple[str, ...]
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
        is_outdated: whether it came back as it was before an earlier correction, which is kept.
    """

    labels: np.ndarray
    changed: int = 0
    is_emptied: bool = False
    is_outdated: bool = False


def import_masks(
    run: Run,
    file: str | os.PathLike[str],
    *,
    format: str = "auto",
    base: MaskSource = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> ImportResult:
    """Write a folder with a mask of every image: corrected where the file has one, else as it was.

    An import adds to the ones before: their corrections stay in all masks that the file does not change, and
    so they do in masks that it holds as they were before any correction. corrections.json in the folder says
    which masks were corrected, by this import or by those that it adds to. Nothing is written unless the
    whole file can be used.

    Args:
        run: a run with masks, whose ids, sizes and class names hold.
        file: what the tool exported.
        format: name of its format; recognised where "auto".
        base: the run's masks before correction; "auto" takes those of an earlier import into `out`, else into
            the run's corrected_masks, else its pseudo_masks or masks. "pseudo_masks" starts over.
        out: folder to make; the run's corrected_masks where None.
        progress: told about every mask.

    Raises:
        DataError: everything in the file that cannot be used, at once.
        SwtformerError: the run has no masks, or `out` holds something else.
    """
    file = Path(file)
    plug_in = recognise(file) if format == "auto" else exporter(format)
    target = run.corrected_masks if out is None else Path(out)
    problems = Problems()
    with _replaced(target) as folder:
        before = _base(run, base, target)
        earlier = read_corrections(before) or _none_yet(run, before)
        known, failures = _known(before, earlier.base)
        reading = Reading(known, run.classes(), problems)
        changes, warnings = _write_corrections(plug_in, file, reading, earlier, folder, progress)
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
        whole = {**earlier.corrected, **corrected}
        notes = {
            "format": plug_in.name,
            "file": str(file.resolve()),
            "base": str(earlier.base),
            "making": earlier.making,
            "corrected": dict(sorted(whole.items())),
            "unchanged": [id for id in unchanged if id not in whole],
            "not_in_file": [id for id in sorted(kept) if id not in whole],
        }
        write_json(folder / NOTES, notes)
    for problem in problems.warnings:
        if problem.kind == UNKNOWN_IMAGE:
            failures.append(Failure(problem.id or "", "import", str(file), problem.message))
    write_failures(run, "import", failures)
    if earlier.making and making(run) not in ("", earlier.making):
        warnings.append(
            f"The pseudo-masks were made anew since the import before. What was not corrected in {before} is "
            f"of the earlier making; --base {earlier.base.name} starts over with the new ones."
        )
    notes_on_file = [problem.message for problem in problems.warnings if problem.kind != UNKNOWN_IMAGE]
    return ImportResult(
        folder=target,
        base=before,
        origin=earlier.base,
        earlier=tuple(sorted(earlier.corrected)),
        corrected=corrected,
        unchanged=tuple(unchanged),
        kept=tuple(sorted(kept)),
        failures=tuple(failures),
        warnings=(*notes_on_file, *warnings),
    )


def _none_yet(run: Run, before: Path) -> Corrections:
    """What is noted of masks that nobody has corrected."""
    is_own = before.resolve() == run.pseudo_masks.resolve()
    return Corrections(before.resolve(), {}, making(run) if is_own else "")


def _base(run: Run, base: MaskSource, target: Path) -> Path:
    """Folder of the masks before correction.

    Raises:
        SwtformerError: the run has none, or not those that are asked for.
    """
    if base == "auto":
        for folder in (target, run.corrected_masks):
            if (folder / NOTES).is_file():
                return folder
    return mask_folder(run, base)


def _known(before: Path, origin: Path) -> tuple[dict[str, Known], list[Failure]]:
    """The masks before correction and their sizes; those without a readable header are failures.

    Masks that were made since the earlier import, of further images, are taken from where all were made.
    """
    files = {id: origin / f"{id}.png" for id in (mask_ids(origin) if any(origin.rglob("*.png")) else ())}
    files |= {id: before / f"{id}.png" for id in mask_ids(before)}
    known: dict[str, Known] = {}
    failures = []
    for id, path in files.items():
        try:
            known[id] = Known(image_size(path), path)
        except ImageError as error:
            failures.append(Failure(id, "import", str(path), str(error)))
    return known, failures


def _write_corrections(
    plug_in: Exporter, file: Path, reading: Reading, earlier: Corrections, folder: Path, progress: Progress
) -> tuple[dict[str, int], list[str]]:
    """Write what comes back.

    Returns:
        Changed pixels by id, and warnings about masks that are not what was probably meant.
    """
    changes: dict[str, int] = {}
    emptied: list[str] = []
    outdated: list[str] = []
    for correction in plug_in.read(file, reading):
        merged = _merged(correction, plug_in, reading, earlier)
        write_mask(folder / f"{correction.id}.png", merged.labels)
        changes[correction.id] = merged.changed
        emptied += [correction.id] if merged.is_emptied else []
        outdated += [correction.id] if merged.is_outdated else []
        progress("import", len(changes), len(reading.images))
    warnings = []
    if emptied:
        warnings.append(
            f"{len(emptied)} images come back all background, though their masks had classes: "
            f"{_listed(emptied)}. Was anything drawn in them?"
        )
    if outdated:
        warnings.append(
            f"{len(outdated)} masks are in the file as they were before an earlier import corrected them: "
            f"{_listed(outdated)}. Their corrections are kept; --base {earlier.base.name} starts over."
        )
    return changes, warnings


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")


def _merged(correction: Correction, plug_in: Exporter, reading: Reading, earlier: Corrections) -> _Merged:
    """A correction over the mask before: where the format lost something and nobody drew, it stays."""
    try:
        before = read_labels(reading.images[correction.id].source, reading.classes)
    except ImageError:  # the correction replaces a mask that cannot be read any more
        return _Merged(correction.labels, correction.labels.size)
    untouched = plug_in.as_it_returns(before)
    if correction.id in earlier.corrected and not np.array_equal(correction.labels, untouched):
        try:
            original = read_labels(earlier.base / f"{correction.id}.png", reading.classes)
        except ImageError:  # it is gone since, so that nothing can be told from it
            original = before
        if np.array_equal(correction.labels, plug_in.as_it_returns(original)):
            return _Merged(before, is_outdated=True)
    labels = np.where(correction.labels == untouched, before, correction.labels)
    is_emptied = bool(untouched.any() and not correction.labels.any())
    return _Merged(labels, int(np.count_nonzero(labels != before)), is_emptied=is_emptied)


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
