"""Bring masks that were corrected in another tool back into a run, beside those that were not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from swtformer.datasets.images import image_size
from swtformer.datasets.label_images import read_labels
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError, ImageError, SwtformerError
from swtformer.exporters import Correction, ExchangeFormat, Known, Reading, exchange_format, recognise
from swtformer.exporters.base import movable
from swtformer.exporters.provenance import Ignored, fingerprint
from swtformer.exporters.reading import UNKNOWN_IMAGE
from swtformer.progress import Progress, silent
from swtformer.review.decisions import marked_ids
from swtformer.review.import_warnings import Findings
from swtformer.review.merge_masks import Merged, Standing, merge
from swtformer.stages.export import MaskSource, mask_folder, mask_ids
from swtformer.store.corrections import NOTES, VERSIONS, Corrections, noted_base, read_corrections
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.pseudo_masks import making_of
from swtformer.store.run import Run


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


def import_masks(
    run: Run,
    file: str | os.PathLike[str],
    *,
    format: str = "auto",
    base: MaskSource = "auto",
    ignored: Literal["auto", "keep", "drop"] = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> ImportResult:
    """Write a folder with a mask of every image: corrected where the file has one, else as it was.

    An import adds to the ones before: what they corrected stays wherever the file has the pixels as they
    were exported (`merge_masks.merge`). corrections.json in the folder says which masks were corrected, by
    this import or by those that it adds to; corrected masks that it supersedes are kept in a hidden folder,
    since others may have exported them too. Nothing is written unless the whole file can be used.

    Args:
        run: a run with masks, whose ids, sizes and class names hold.
        file: what the tool exported.
        format: name of its format; recognised where "auto".
        base: the run's masks before correction; "auto" takes those of an earlier import into `out`, else into
            the run's corrected_masks, else its pseudo_masks or masks. "pseudo_masks" starts over.
        ignored: what the export did with 255 (`ExportSettings.ignored`); "auto" takes the file's own note,
            and without one "keep".
        out: folder to make; the run's corrected_masks where None.
        progress: told about every mask.

    Raises:
        DataError: everything in the file that cannot be used, at once; or it does not tell what became of
            255, and all of it came back as background.
        SwtformerError: the run has no masks, or `out` holds something else.
    """
    file = Path(file)
    plug_in = recognise(file) if format == "auto" else exchange_format(format)
    target = run.corrected_masks if out is None else Path(out)
    problems = Problems()
    with _replaced(target) as folder:
        before = _base(run, base, target)
        earlier = read_corrections(before) or _none_yet(run, before)
        known, failures = _known(before, earlier.base)
        reading = Reading(known, run.classes(), problems)
        findings = Findings(file, earlier.base)
        changes: dict[str, int] = {}
        versions = dict(earlier.versions)
        if (before / VERSIONS).is_dir():
            shutil.copytree(before / VERSIONS, folder / VERSIONS)
        for correction in plug_in.read(file, reading):
            standing = _standing(reading, earlier, before, correction.id)
            merged = _merged(correction, standing, plug_in, ignored)
            write_mask(folder / f"{correction.id}.png", merged.labels)
            changes[correction.id] = merged.changed
            findings.add(correction, merged)
            if merged.changed:
                versions[correction.id] = fingerprint(merged.labels)
                if standing is not None and correction.id in earlier.corrected:
                    kept_as = f"{fingerprint(standing.labels)}.png"
                    write_mask(folder / VERSIONS / correction.id / kept_as, standing.labels)
            progress("import", len(changes), len(known))
        problems.raise_fatal(str(file))
        if ignored == "auto":
            findings.refuse_unclear()
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
            "base": noted_base(run, target, earlier.base),
            "making": earlier.making,
            "corrected": dict(sorted(whole.items())),
            "versions": dict(sorted(versions.items())),
            "unchanged": [id for id in unchanged if id not in whole],
            "not_in_file": [id for id in sorted(kept) if id not in whole],
        }
        write_json(folder / NOTES, notes)
    for problem in problems.warnings:
        if problem.kind == UNKNOWN_IMAGE:
            failures.append(Failure(problem.id or "", "import", str(file), problem.message))
    write_failures(run, "import", failures)
    warnings = findings.warnings(
        marked=marked_ids(run, making_of(run.pseudo_masks)), has_making=bool(earlier.making)
    )
    if earlier.making and making_of(run.pseudo_masks) not in ("", earlier.making):
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
    return Corrections(before.resolve(), {}, making_of(before) if is_own else "")


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


def _standing(reading: Reading, earlier: Corrections, before: Path, id: str) -> Standing | None:
    """What the run has of an image; None where its mask cannot be read any more."""
    try:
        labels = read_labels(reading.images[id].source, reading.classes)
    except ImageError:
        return None
    if id not in earlier.corrected:
        return Standing(labels, None, earlier.making)
    older = []
    for file in (earlier.base / f"{id}.png", *sorted((before / VERSIONS / id).glob("*.png"))):
        with suppress(ImageError):  # it is gone since, so that nothing can be told from it
            mask = read_labels(file, reading.classes)
            if mask.shape == labels.shape:  # else it was made anew for an image of another size
                older.append(mask)
    return Standing(labels, tuple(older), earlier.making)


def _merged(
    correction: Correction,
    standing: Standing | None,
    plug_in: ExchangeFormat,
    ignored: Literal["auto", "keep", "drop"],
) -> Merged:
    if standing is None:  # the correction replaces a mask that cannot be read any more
        return Merged(correction.labels, correction.labels.size)
    noted = "keep" if correction.provenance is None else correction.provenance.ignored
    done: Ignored = noted if ignored == "auto" else ignored
    return merge(correction, standing, partial(plug_in.as_it_returns, ignored=done))


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
