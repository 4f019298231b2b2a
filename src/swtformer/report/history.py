"""The course of training: metrics.csv and its curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from swtformer.errors import SwtformerError
from swtformer.report.plots import Series, line_plot
from swtformer.store.run import Run


@dataclass(frozen=True)
class History:
    """Rows of metrics.csv.

    Attributes:
        columns: names, `epoch` first.
        rows: one per epoch; None where a column has no value.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, float | None], ...]


@dataclass(frozen=True)
class Curve:
    """One plot of the page: a caption and an SVG."""

    caption: str
    svg: Markup


_LOSSES = {"loss": "Total", "cls": "CLS", "gsc": "GSC", "ccl": "CCL"}
_PIXEL_LOSSES = {"loss": "Total", "cross_entropy": "Cross-entropy", "dice": "Dice", "presence": "Presence"}
_RATES = {"learning_rate": "Backbone"}
_VALIDATION = {"validation_map_per_class": "Per class", "validation_map_per_image": "Per image"}


def read_history(run: Run) -> History | None:
    """Read metrics.csv; None where there is none or it holds no epoch.

    Raises:
        SwtformerError: a line holds something else than numbers.
    """
    if not run.metrics_file.is_file():
        return None
    with run.metrics_file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        columns = tuple(reader.fieldnames or ())
        rows = []
        for row in reader:
            # DictReader fills a short line with None and puts what a long one has too much under None.
            try:
                if None in row or None in row.values():
                    raise ValueError
                rows.append({name: float(row[name]) if row[name] else None for name in columns})
            except ValueError:
                raise SwtformerError(
                    f"{run.metrics_file}, line {reader.line_num}: expected {len(columns)} numbers, "
                    f"got {list(row.values())}."
                ) from None
    if "epoch" not in columns or not rows:
        return None
    return History(columns, tuple(rows))


def curves(history: History) -> list[Curve]:
    """Plots of losses, learning rate and validation mAP; those without any value are left out."""
    return _curves(
        history,
        ("Losses, mean of each epoch", _LOSSES, 1.0),
        ("Learning rate of the backbone", _RATES, 1.0),
        ("Validation mAP, %", _VALIDATION, 100.0),
    )


def segmentation_curves(history: History) -> list[Curve]:
    """The same for the segmentation network; its mIoU is against held-out masks of the kind trained on."""
    return _curves(
        history,
        ("Losses, mean of each epoch", _PIXEL_LOSSES, 1.0),
        ("Learning rate of the encoder", {"learning_rate": "Encoder"}, 1.0),
        ("mIoU against held-out masks of the same folder, %", {"validation_miou": "mIoU"}, 100.0),
    )


def _curves(history: History, *plots: tuple[str, Mapping[str, str], float]) -> list[Curve]:
    return [
        curve
        for caption, names, factor in plots
        if (curve := _curve(history, caption, names, factor)) is not None
    ]


def _curve(history: History, caption: str, names: Mapping[str, str], factor: float) -> Curve | None:
    lines = [
        Series(name, points, f"line-{index}")
        for index, (column, name) in enumerate(names.items())
        if (points := _points(history.rows, column, factor))
    ]
    if not lines:
        return None
    if len(lines) == 2 and lines[0].points == lines[1].points:
        lines = lines[1:]  # a sum of one part is drawn once, under the part's name
    return Curve(caption, line_plot(lines, title=caption, x_label="Epoch"))


def _points(
    rows: Sequence[Mapping[str, float | None]], column: str, factor: float
) -> tuple[tuple[float, float], ...]:
    pairs = [(row["epoch"], row.get(column)) for row in rows]
    return tuple(
        (epoch, factor * value)
        for epoch, value in pairs
        if epoch is not None and value is not None and math.isfinite(value)
    )
