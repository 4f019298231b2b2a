"""A reproduced table as sheets of text: beside the published figures, between rows, per class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from swtformer.functional.scores import iou_of_areas
from swtformer.reproduction.measured import (
    Measured,
    MeasuredRow,
    Reproduction,
    confusion_ratio,
    spread,
)
from swtformer.reproduction.rows import PUBLISHED_IMAGES, PUBLISHED_ON
from swtformer.scoring.paired_bootstrap import paired_bootstrap
from swtformer.store.scores import SOURCES

NONE = "–"

TITLES = {
    "table1": "Table 1: mAP of the image labels, %",
    "table2": "Table 2: seeds, mIoU in %",
    "table3": "Table 3: losses of V2, mIoU of the seeds in %",
}


@dataclass(frozen=True)
class Sheet:
    """A titled table of text.

    Attributes:
        name: part of file names, "" for the main one.
        title: one line.
        columns: headings.
        rows: cells, as many as columns.
        notes: lines below the table.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sheets(made: Reproduction) -> list[Sheet]:
    """All sheets of a reproduction, the main one first."""
    found = [_main(made)]
    if made.table != "table1":
        found += [_differences(made), _classes(made), _companions(made)]
    return found


def _main(made: Reproduction) -> Sheet:
    is_map = made.table == "table1"
    ours = tuple(
        f"{name}, on {made.scored_name}"
        for name in (("ours, mAP per image", "ours, mAP per class") if is_map else ("ours", "ours, oracle*"))
    )
    columns = ["method", "backbone", "maps", f"paper, on {PUBLISHED_ON[made.table]}", *ours, "difference"]
    has_full = any(row.full is not None for row in made.rows)
    if has_full:
        columns += ["full method: maps", f"published, on {PUBLISHED_ON[made.table]}", *ours, "difference"]
    rows = []
    for row in made.rows:
        cells = [row.row.about.title, row.settings.model.backbone, *_cells(row.table)]
        rows.append((*cells, *(_cells(row.full) if has_full else ())))
    seeds = f"seeds {', '.join(map(str, made.seeds))}" if len(made.seeds) > 1 else f"seed {made.seeds[0]}"
    notes = [
        f"Ours: {made.scored}; {seeds}; mean ± standard deviation over seeds.",
        f"Published: {PUBLISHED_ON[made.table]}, {PUBLISHED_IMAGES[made.table]:,} images.",
    ]
    if is_map:
        notes.append(
            "The paper does not say which mAP it gives. MCTformer's code, which it cites, has the mean over "
            "images; the difference is to that."
        )
    else:
        notes.append(
            "ours: no masks used; CAMs at the label-free threshold, other maps against their own background. "
            "oracle*: the best threshold of a sweep, chosen on the masks that score it, as most published "
            "figures are; the difference is to that."
        )
    for row in made.rows:
        notes += _about(row, with_maps=not is_map)
    return Sheet(
        "", TITLES[made.table], tuple(columns), tuple(rows), tuple(dict.fromkeys([*notes, *_unlike(made)]))
    )


def _cells(measured: Measured | None) -> list[str]:
    if measured is None:
        return [NONE] * 5
    value = measured.published.value
    compared = measured.values if measured.areas is None else measured.others
    difference = NONE
    if not measured.unlike and value is not None:
        difference = f"{100 * spread(compared)[0] - value:+.2f}"
    return [
        SOURCES.get(measured.published.maps, "classifier"),
        NONE if value is None else f"{value:.2f}",
        _spread(measured.values),
        _spread(measured.others),
        difference,
    ]


def _about(row: MeasuredRow, *, with_maps: bool) -> list[str]:
    """What a row was trained with, what its published figures are of, and where ours departs."""
    title, settings = row.row.about.title, row.settings
    weights = settings.model.weights
    parts = [f"ours from weights: {weights}"]
    if any(measured.published.value is not None for measured in row.figures()):
        parts.insert(0, f"published on {row.row.about.pretraining}")
    if with_maps:
        scales = ", ".join(f"{scale:g}" for scale in settings.localize.scales)
        each, in_turn = ", each with its mirror image", ", every second one mirrored"
        mirrored = {True: each, "in_turn": in_turn}.get(settings.localize.mirrored, "")
        parts.append(f"maps at scales {scales}{mirrored}")
    found = [f"{title}: {'; '.join(parts)}."]
    for measured in row.figures():
        if measured.published.note and measured.published.value is not None:
            found.append(f"{title}, {measured.published.value:g}: {measured.published.note}.")
    if row.row.about.departures:
        found.append(f"{title}, ours: {row.row.about.departures}")
    return found


def _unlike(made: Reproduction) -> list[str]:
    """Why there is no difference, what all figures share first."""
    figures = [(row.row.about.title, measured) for row in made.rows for measured in row.figures()]
    shared = [
        reason for reason in figures[0][1].unlike if all(reason in measured.unlike for _, measured in figures)
    ]
    found = [f"No difference is given, as ours are of {'; '.join(shared)}."] if shared else []
    for title, measured in figures:
        own = [reason for reason in measured.unlike if reason not in shared]
        if own:
            value = "" if measured.published.value is None else f", {measured.published.value:g}"
            found.append(f"{title}{value}, no difference is given: {'; '.join(own)}.")
    return found


def _spread(values: Sequence[float]) -> str:
    middle, deviation = spread([100 * value for value in values])
    return f"{middle:.2f}" if deviation is None else f"{middle:.2f} ± {deviation:.2f}"


def _scored(made: Reproduction) -> dict[str, Tensor]:
    """(S, I, 3, N) areas of everything that was scored, by its name; what two rows share comes once."""
    return {
        measured.name: measured.areas
        for row in made.rows
        for measured in row.figures()
        if measured.areas is not None
    }


def _differences(made: Reproduction) -> Sheet:
    scored = _scored(made)
    names = list(scored)
    rows = []
    for place, name in enumerate(names):
        cells = [name]
        for other in names[:place]:
            found = paired_bootstrap(scored[name], scored[other], over=made.over)
            cells.append(f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})")
        rows.append((*cells, *[""] * (len(names) - 1 - place)))
    return Sheet(
        "differences",
        "Row minus column: difference of the mIoUs, points",
        ("", *names[:-1]),
        tuple(rows),
        (
            "Mean over seeds, with the 95 % interval of a paired bootstrap over the scored images. It tells "
            "the spread over images, not that over seeds. Each name says how the background was decided.",
        ),
    )


def _classes(made: Reproduction) -> Sheet:
    rows = []
    for name, areas in _scored(made).items():
        values = iou_of_areas(areas.sum(1)).nanmean(0).tolist()
        rows.append((name, *(NONE if math.isnan(value) else f"{100 * value:.1f}" for value in values)))
    return Sheet("classes", "IoU of each class, %, mean over seeds", ("", *made.classes), tuple(rows))


def _companions(made: Reproduction) -> Sheet:
    scored = _scored(made)
    ratios = [confusion_ratio(areas.sum((0, 1))) for areas in scored.values()]
    rows = []
    for label, name in enumerate(made.classes[1:], start=1):
        companion, share = made.companions.get(name, (NONE, 0.0))
        values = [float(ratio[label]) for ratio in ratios]
        cells = [f"{value:.2f}" if math.isfinite(value) else NONE for value in values]
        rows.append((name, companion, f"{100 * share:.0f} %", *cells))
    return Sheet(
        "co-occurrence",
        "Classes that are seen together, and what each takes with it",
        ("class", "most often seen with", "in", *scored),
        tuple(rows),
        (
            "Figures are false alarms over hits (confusion ratio), all seeds together; 0 is best. – means "
            "that nothing was hit.",
        ),
    )
