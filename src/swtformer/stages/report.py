"""Write the HTML report of a run from whatever the run holds."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from swtformer.datasets import ImageSet, Record, open_dataset
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.report import render
from swtformer.report.cases import Case, Columns, Context, build_case
from swtformer.report.history import read_history
from swtformer.report.later_stages import LaterStages, read_later_stages
from swtformer.report.page import Contents, Gallery
from swtformer.report.selection import confidence, extremes, varied
from swtformer.settings import Settings
from swtformer.store.failures import read_failures
from swtformer.store.files import write_text
from swtformer.store.known_data import data_of
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import read_rule
from swtformer.store.notes import DataNotes, MapNotes, read_notes, training_notes
from swtformer.store.run import Run
from swtformer.store.scores import Scores, read_scores

EXTREMES = 6
"""Images at each end of the ranking."""

REVIEWED = 4
"""Number of the least confident pseudo-masks that are shown."""

RANKED_BY_CONFIDENCE = 500
"""Images whose maps are read for a ranking where there are no scores; of more, every nth is taken."""


@shows_progress
def report(run: Run, data: ImageSet | None = None, *, images: int = 24, progress: Progress = shown) -> Path:
    """Write report/index.html: one file with settings, curves, scores and pictures, readable anywhere.

    Parts that the run lacks are left out, and the page says which command makes them. A page with 24 images
    stays under 4 MB.

    Args:
        run: a run folder; settings.yaml is all that it must hold.
        data: the images that the maps were made for; where None, they are opened again from where the run
            says they lie.
        images: size of the varied sample; the worst and best cases are added to it.
        progress: called for every picture.

    Returns:
        The file.

    Raises:
        SettingsError: `images` is negative.
        SwtformerError: the folder is not a run, or a file in it is damaged.
    """
    if images < 0:
        raise SettingsError(f"The number of images in a report must be 0 or more, got {images}.")
    settings = run.settings()
    noted = read_notes(run.maps_file, MapNotes)
    made_for = noted or training_notes(run)
    scores = read_scores(run.scores_file)
    history = read_history(run)
    later = read_later_stages(run)
    missing: list[str] = []
    if data is None:
        data, reason = _reopen(run, made_for, scores)
        if data is None:
            missing.append(f"Pictures: {reason}")
    made = _Made.of(run, data, later)
    missing += _missing_parts(run, made, data, scores=scores, has_history=history is not None)
    galleries: tuple[Gallery, ...] = ()
    if data is not None and made.shown:
        galleries, unreadable = _galleries(
            run, data, made, settings, scores, later, images=images, progress=progress
        )
        missing += unreadable
    contents = Contents(
        run_name=run.path.resolve().name,
        run_path=shlex.quote(str(run.path)),
        data_name=_data_name(data, made_for),
        settings=settings,
        classes=_classes(run, data),
        class_images=_class_images(data) if data else {},
        maps=len(made.maps),
        masks=len(made.masks),
        has_rcam=made.columns.rcam,
        mask_rule=read_rule(run),
        map_classes=noted.classes if noted else "",
        history=history,
        scores=scores,
        galleries=galleries,
        failures=tuple(read_failures(run)),
        environment=training_notes(run),
        missing=tuple(missing),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        later=later,
    )
    write_text(run.report_file, render(contents))
    return run.report_file


@dataclass(frozen=True)
class _Made:
    """Which records of the data set have what.

    Attributes:
        maps: ids of the run's maps.
        masks: ids of the run's masks.
        shown: records of the data set with maps or masks.
        columns: columns of pictures that the run can fill.
    """

    maps: frozenset[str]
    masks: frozenset[str]
    shown: tuple[Record, ...]
    columns: Columns

    @classmethod
    def of(cls, run: Run, data: ImageSet | None, later: LaterStages) -> _Made:
        maps = frozenset(run.map_ids())
        found = (file.relative_to(run.masks).as_posix() for file in run.masks.rglob("*.png"))
        masks = frozenset(name.removesuffix(".png") for name in found)
        records = data.records if data else ()
        shown = tuple(record for record in records if record.id in maps or record.id in masks)
        return cls(
            maps,
            masks,
            shown,
            Columns(
                cam=bool(maps),
                rcam=_has_rcam(run, sorted(maps)),
                mask=bool(masks),
                truth=any(record.mask for record in shown),
                pseudo_mask=not masks and run.pseudo_masks_file.is_file(),
                refiner="" if later.refinement is None else later.refinement.method,
            ),
        )


def _has_rcam(run: Run, ids: Sequence[str]) -> bool:
    """Whether the first maps that can be read include R-CAMs."""
    for id in ids:
        with suppress(SwtformerError):
            return ClassActivationMaps.load(run.map_file(id)).rcam is not None
    return False


def _missing_parts(
    run: Run,
    made: _Made,
    data: ImageSet | None,
    *,
    scores: Scores | None,
    has_history: bool,
) -> list[str]:
    """One line per part that is not there, with the command that makes it."""
    name = shlex.quote(str(run.path))
    lines = []
    if not has_history:
        lines.append(f"Training curves: `swtformer train DATA --out {name}` writes them.")
    if not made.maps:
        lines.append(f"Maps: `swtformer localize {name}` makes them.")
    elif not made.columns.rcam:
        lines.append("R-CAM: the maps include none; only some methods make them.")
    if not made.masks and not made.columns.pseudo_mask:
        lines.append(f"Masks: `swtformer mask {name}` makes them from the maps.")
    if scores is None:
        lines.append(f"Scores: `swtformer evaluate {name}` measures them where there are masks or labels.")
    if data is not None and not made.columns.truth:
        lines.append(
            "Truth: no ground-truth masks are known for these images; "
            f"`swtformer evaluate {name} --data.masks FOLDER` scores against a folder of them."
        )
    if data is not None and (made.maps or made.masks) and not made.shown:
        lines.append(
            f"Pictures: none of the {len(data)} images of {data.name} has maps; `swtformer localize {name}` "
            "makes them."
        )
    return lines


def _galleries(
    run: Run,
    data: ImageSet,
    made: _Made,
    settings: Settings,
    scores: Scores | None,
    later: LaterStages,
    *,
    images: int,
    progress: Progress,
) -> tuple[tuple[Gallery, ...], list[str]]:
    """Choose the images, draw them, and say which could not be read."""
    ranked, rank_name, note = _ranking(run, made, scores)
    by_id = {record.id: record for record in made.shown}
    lowest, highest = extremes({id: value for id, value in ranked.items() if id in by_id}, EXTREMES)
    context = Context(run, _classes(run, data), data.classes, made.columns, settings.data)
    by_score = rank_name == "mIoU"
    chosen = [
        (
            "pictures",
            "Pictures",
            "A varied sample, chosen so that every class is shown, whatever the scores.",
            [record.id for record in varied(made.shown, images)],
        ),
        ("worst", "Worst cases" if by_score else "Least confident", f"Lowest {note}, lowest first.", lowest),
        ("best", "Best cases" if by_score else "Most confident", f"Highest {note}, highest first.", highest),
    ]
    doubtful = {review.id: review.confidence for review in later.reviews if review.id in by_id}
    chosen.append(
        (
            "review",
            "Pseudo-masks to review first",
            "Least sure first; `swtformer app` shows the whole queue.",
            list(doubtful)[:REVIEWED],
        )
    )
    numbers = tuple(row.number for row in later.rounds.rows)
    changed = {id: part for id, part in (later.rounds.changed or {}).items() if id in by_id}
    chosen.append(
        (
            "changes",
            "Where the rounds differ",
            "Pseudo-masks that the last round changed most, by share of pixels.",
            sorted(changed, key=lambda id: (-changed[id], id))[:EXTREMES],
        )
    )
    by_gallery = {
        "review": (
            replace(context, columns=Columns(truth=made.columns.truth, pseudo_mask=True)),
            doubtful,
            "confidence",
        ),
        "changes": (
            replace(context, columns=Columns(truth=made.columns.truth, rounds=numbers)),
            changed,
            "changed",
        ),
    }
    total = sum(len(ids) for *_, ids in chosen)
    galleries, unreadable, done = [], [], 0
    for anchor, title, lead, ids in chosen:
        shown, values, name = by_gallery.get(anchor, (context, ranked, rank_name))
        cases: list[Case] = []
        for id in ids:
            score = f"{name} {100 * values[id]:.1f} %" if id in values else ""
            try:
                cases.append(build_case(by_id[id], shown, score=score))
            except ImageError as error:
                unreadable.append(f"Picture of {id}: {error}")
            done += 1
            progress("report", done, total)
        if cases:
            galleries.append(Gallery(anchor, title, lead, tuple(cases)))
    return tuple(galleries), list(dict.fromkeys(unreadable))


def _ranking(run: Run, made: _Made, scores: Scores | None) -> tuple[dict[str, float], str, str]:
    """Values by id, the name of the value, and what it is in words."""
    if scores is not None and scores.per_image:
        values = {image.id: image.miou for image in scores.per_image}
        return values, "mIoU", "mIoU of the image's mask against the ground truth"
    mapped = [record.id for record in made.shown if record.id in made.maps]
    step = -(-len(mapped) // RANKED_BY_CONFIDENCE) or 1
    values = {}
    for id in mapped[::step]:
        try:
            values[id] = confidence(ClassActivationMaps.load(run.map_file(id)))
        except SwtformerError:
            continue  # its tile says why
    of = f" (of every {step}th image)" if step > 1 else ""
    return (
        values,
        "confidence",
        f"confidence: the mean lead of the best class over the second best in the maps{of}",
    )


def _reopen(run: Run, made_for: DataNotes, scores: Scores | None) -> tuple[ImageSet | None, str]:
    """The data set that the run knows, or the reason why it cannot be opened."""
    if made_for.data is None:
        command = f"`swtformer localize {shlex.quote(str(run.path))} DATA`"
        return None, f"the run does not know its data set; {command} makes maps for one."
    try:
        path, settings = data_of(run, None, made_for)
        own = settings.data
        data = open_dataset(path, own, reader=settings.reader)
    except SwtformerError as error:
        return None, f"the data set cannot be opened: {error}"
    if scores is not None and scores.ground_truth and not any(record.mask for record in data.records):
        # The masks that `evaluate` was given by a flag; if they are gone, the page says so.
        with suppress(DataError):
            own = own.model_copy(update={"masks": Path(scores.ground_truth)})
            data = open_dataset(path, own, reader=settings.reader)
    return data, ""


def _data_name(data: ImageSet | None, made_for: DataNotes) -> str:
    if data is not None:
        return data.name
    return made_for.data_name or str(made_for.data or "an unknown data set")


def _classes(run: Run, data: ImageSet | None) -> tuple[str, ...]:
    if run.classes_file.is_file():
        return run.classes()
    return data.classes if data else ()


def _class_images(data: ImageSet) -> dict[str, int]:
    counts = Counter(index for record in data.records for index in record.present or ())
    return {name: counts[index] for index, name in enumerate(data.classes)}
