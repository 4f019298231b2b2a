"""The course of training: metrics.csv and its curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from swtformer.errors import SwtformerError
from swtformer.report.plots import COLOURS, Series, line_plot
from swtformer.store.files import read_rows
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


_NOT_LOSSES = {"epoch", "step", "learning_rate", "seconds"}
"""Columns beside the losses; validation scores, whose names begin with "validation_", are others."""


def read_history(run: Run) -> History | None:
    """Read metrics.csv; None where there is none or it holds no epoch.

    Raises:
        SwtformerError: a line holds anything but numbers.
    """
    if not run.metrics_file.is_file():
        return None
    columns, found = read_rows(run.metrics_file)
    rows = []
    for line, row in enumerate(found, start=2):
        try:
            rows.append({name: float(row[name]) if row[name] else None for name in columns})
        except ValueError:
            raise SwtformerError(
                f"{run.metrics_file}, line {line}: expected {len(columns)} numbers, got {list(row.values())}."
            ) from None
    if "epoch" not in columns or not rows:
        return None
    return History(columns, tuple(rows))


def curves(history: History) -> list[Curve]:
    """Plots of losses, learning rate and validation scores; those without any value are left out."""
    average_precision = {"validation_map_per_class": "Per class", "validation_map_per_image": "Per image"}
    miou = {"validation_miou": "mIoU"}
    plots = [
        _curve(history, "Losses, mean of each epoch", _losses(history), 1.0),
        _curve(history, "Learning rate of the backbone", {"learning_rate": "Backbone"}, 1.0),
        _curve(history, "Validation mAP, %", average_precision, 100.0),
        _curve(history, "mIoU against held-out masks of the same folder, %", miou, 100.0),
    ]
    return [plot for plot in plots if plot is not None]


def _losses(history: History) -> dict[str, str]:
    """Columns of losses by the names of their curves, the total first: CLS for cls, Dice for dice."""
    columns = [
        name
        for name in history.columns
        if name not in _NOT_LOSSES
        and not name.startswith("validation_")
        and any(row[name] is not None for row in history.rows)
    ]
    if len(columns) == 2 and all(row.get("loss") == row[columns[1]] for row in history.rows):
        columns = columns[1:]  # a single loss is its own total
    return {name: _loss_name(name) for name in columns}


def _loss_name(column: str) -> str:
    if column == "loss":
        return "Total"
    return column.upper() if len(column) <= 3 else column.replace("_", " ").capitalize()


def _curve(history: History, caption: str, names: Mapping[str, str], factor: float) -> Curve | None:
    lines = []
    for index, (column, name) in enumerate(names.items()):
        points = tuple(
            (epoch, factor * value)
            for row in history.rows
            if (epoch := row["epoch"]) is not None
            and (value := row.get(column)) is not None
            and math.isfinite(value)
        )
        if points:
            lines.append(Series(name, points, f"line-{index % COLOURS}"))
    most = factor if factor == 100 else None
    return Curve(caption, line_plot(lines, title=caption, x_label="Epoch", most=most)) if lines else None
