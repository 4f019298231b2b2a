"""A reproduced table as sheets of text: beside the published figures, between rows, per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swtformer.functional.scores import iou_per_label
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
    title = {
        "table1": "Table 1: mAP of the image labels, %",
        "table2": "Table 2: seeds, mIoU in %",
        "table3": "Table 3: losses of V2, mIoU of the seeds in %",
    }[made.table]
    is_map = made.table == "table1"
    ours = ("ours, mAP per image", "ours, mAP per class") if is_map else ("ours", "ours, oracle*")
    columns = ["method", "backbone", "maps", "paper", *ours, "difference"]
    has_full = any(row.full is not None for row in made.rows)
    if has_full:
        columns += ["full method: maps", "published", "ours", "ours, oracle*", "difference"]
    rows, notes = [], []
    for row in made.rows:
        cells = [row.row.about.title, row.backbone, *_cells(row.table)]
        if has_full:
            cells += [NONE] * 5 if row.full is None else _cells(row.full)
        rows.append(tuple(cells))
        notes += _notes(row)
    seeds = (
        f"{len(made.seeds)} seeds ({', '.join(map(str, made.seeds))})" if len(made.seeds) > 1 else "one seed"
    )
    about = [
        f"Ours: {made.scored}; {seeds}; mean ± standard deviation over seeds.",
        f"Published: {PUBLISHED_ON[made.table]}, {PUBLISHED_IMAGES[made.table]:,} images.",
    ]
    if is_map:
        about.append(
            "The paper does not say which mAP it gives. MCTformer's code, which it cites, has the mean over "
            "images; the difference is to that."
        )
    else:
        about += [
            "ours: no masks used; CAMs at the label-free threshold, other maps against their own background. "
            "oracle*: the best threshold of a sweep, chosen on the masks that score it, as most published "
            "figures are; the difference is to that.",
        ]
    about += notes
    about += _incomparable(made)
    return Sheet("", title, tuple(columns), tuple(rows), tuple(dict.fromkeys(about)))


def _incomparable(made: Reproduction) -> list[str]:
    """Why there is no difference, what all rows share first."""
    unlike = {row.row.about.title: row.table.unlike for row in made.rows}
    shared = [reason for reason in made.rows[0].table.unlike if all(reason in own for own in unlike.values())]
    found = [f"No difference is given, as ours are of {'; '.join(shared)}."] if shared else []
    for title, reasons in unlike.items():
        own = [reason for reason in reasons if reason not in shared]
        if own:
            found.append(f"{title}, no difference is given: {'; '.join(own)}.")
    return found


def _cells(measured: Measured) -> list[str]:
    ours, others = _spread(measured.values), _spread(measured.others)
    value = measured.published.value
    compared = measured.values if measured.counts is None else measured.others
    difference = NONE
    if not measured.unlike and value is not None:
        difference = f"{100 * spread(compared)[0] - value:+.2f}"
    return [
        SOURCES.get(measured.published.maps, "classifier"),
        NONE if value is None else f"{value:.2f}",
        ours,
        others,
        difference,
    ]


def _notes(row: MeasuredRow) -> list[str]:
    found = []
    for measured in filter(None, (row.table, row.full)):
        if measured.published.note:
            found.append(f"{row.row.about.title}, {measured.published.value:g}: {measured.published.note}.")
    if row.row.about.departures:
        found.append(f"{row.row.about.title}, ours: {row.row.about.departures}")
    return found


def _spread(values: Sequence[float]) -> str:
    middle, deviation = spread([100 * value for value in values])
    return f"{middle:.2f}" if deviation is None else f"{middle:.2f} ± {deviation:.2f}"


def _scored(made: Reproduction) -> list[tuple[str, Measured]]:
    """Every figure with counts, by the name of its row; the full methods after the table's column."""
    found = [(row.row.about.title, row.table) for row in made.rows]
    found += [(f"{row.row.about.title}, full", row.full) for row in made.rows if row.full is not None]
    return [(name, measured) for name, measured in found if measured.counts is not None]


def _differences(made: Reproduction) -> Sheet:
    scored = _scored(made)
    rows = []
    for place, (name, own) in enumerate(scored):
        cells = [name]
        for _, other in scored[:place]:
            assert own.counts is not None
            assert other.counts is not None
            found = paired_bootstrap(own.counts, other.counts, over=made.over)
            cells.append(f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})")
        rows.append((*cells, *[""] * (len(scored) - 1 - place)))
    return Sheet(
        "differences",
        "Row minus column: difference of the mIoUs, points",
        ("", *(name for name, _ in scored[:-1])),
        tuple(rows),
        (
            "With the 95 % interval of a paired bootstrap over the scored images, counts of all seeds "
            "together. It tells the spread over images, not that over seeds.",
        ),
    )


def _classes(made: Reproduction) -> Sheet:
    rows = []
    for name, measured in _scored(made):
        assert measured.counts is not None
        values = iou_per_label(measured.counts.sum(0)).tolist()
        rows.append((name, *(NONE if value != value else f"{100 * value:.1f}" for value in values)))
    return Sheet("classes", "IoU of each class, %", ("", *made.classes), tuple(rows))


def _companions(made: Reproduction) -> Sheet:
    scored = _scored(made)
    ratios = [
        confusion_ratio(measured.counts.sum(0)) for _, measured in scored if measured.counts is not None
    ]
    rows = []
    for label, name in enumerate(made.classes[1:], start=1):
        companion, share = made.companions.get(name, (NONE, 0.0))
        values = [float(ratio[label]) for ratio in ratios]
        cells = [
            f"{value:.2f}" if value not in (float("inf"),) and value == value else NONE for value in values
        ]
        rows.append((name, companion, f"{100 * share:.0f} %", *cells))
    return Sheet(
        "co-occurrence",
        "Classes that are seen together, and what each takes with it",
        ("class", "most often seen with", "in", *(name for name, _ in scored)),
        tuple(rows),
        ("Figures are false alarms over hits (confusion ratio); 0 is best. – means that nothing was hit.",),
    )
