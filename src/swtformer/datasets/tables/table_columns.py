"""Which columns of a table are read, and as what; what cannot be told is asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from swtformer.datasets.paths import PROBED_NAMES, is_image_name
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import Rows
from swtformer.datasets.tables import column_names
from swtformer.datasets.tables.class_columns import kinds_of
from swtformer.datasets.tables.column_names import find_columns, plain
from swtformer.datasets.tables.label_columns import (
    Columns,
    asked_column,
    by_position,
    cells_of,
    quoted,
    with_labels,
)
from swtformer.datasets.tables.table_settings import TableSettings
from swtformer.errors import nearest

Hits = Callable[[Sequence[str]], int]
"""How many of some names are files of the data set."""

_NO_ANSWERS = frozenset({"reject", "ignore"})

SURE_NAMES = frozenset(
    {"image", "filename", "path", "file", "labels", "label", "classes", "class", "categories"}
)
"""Names (plain) of columns that need no mention."""


def choose_columns(
    table: Rows,
    options: TableSettings,
    *,
    known: frozenset[str],
    hits: Hits | None,
    problems: Problems,
) -> Columns | None:
    """The columns to read; None, with a fatal problem, where that cannot be told.

    Args:
        table: its rows.
        options: columns that the user named stand above everything.
        known: names of classes.
        hits: tells columns of image names by their files.
        problems: collects what is wrong.
    """
    image = _image_column(table, options, hits, problems)
    if image is None:
        return None
    if not table.has_header:
        return by_position(table, image, options, problems)
    rest = [name for name in table.columns if name != image]
    chosen = Columns(
        image,
        mask=_named(table, rest, column_names.MASK_COLUMNS),
        split=next(iter(find_columns(rest, column_names.SPLIT_COLUMNS)), None),
        of_objects=_has_boxes(rest),
    )
    rest = [name for name in rest if name not in {chosen.mask, chosen.split}]
    for name in find_columns(rest, column_names.SPLIT_FLAGS):
        if set(kinds_of(cells_of(table, name))) <= {"zero", "one", "present", "absent"}:
            message = f"{table.path}:1: the column {name!r} is not read; write splits in a column 'split'."
            problems.warn("ignored_column", message)
    for name in find_columns(rest, ("answer",)):
        words = {str(cell).strip().lower() for cell in cells_of(table, name)}
        if words & _NO_ANSWERS and words <= {"accept", "", *_NO_ANSWERS}:
            what = " or ".join(sorted(words & _NO_ANSWERS))
            message = f"rows whose {name!r} is {what} (Prodigy) are no labels; take them out of the file."
            problems.fatal("table_columns", f"{table.path}: {message}")
            return None
    labelled = with_labels(table, chosen, rest, options, known, problems)
    if labelled is None:
        return None
    chosen = labelled
    if chosen.labels:
        others = [name for name in rest if name not in chosen.labels]
        chosen = replace(
            chosen,
            score=next(
                (name for name in find_columns(others, column_names.SCORE_COLUMNS) if _is_score(table, name)),
                None,
            ),
            outline=next(iter(find_columns(others, column_names.OUTLINE_COLUMNS)), None),
        )
        has_more = bool(chosen.score or chosen.outline)
        chosen = replace(chosen, of_objects=chosen.of_objects or has_more)
    read = [name for name in (image, *chosen.labels) if plain(name) not in SURE_NAMES]
    if read and not (options.image_column and options.label_columns):
        labels = f", labels from {quoted(chosen.labels)}" if chosen.labels else ""
        chosen = replace(chosen, notes=(f"image names are from the column {image!r}{labels}", *chosen.notes))
    return chosen


def _has_boxes(columns: Sequence[str]) -> bool:
    """Whether there are columns of boxes: those of RSNA are called x, y, width and height."""
    names = {plain(name) for name in columns}
    return bool(names & set(column_names.BOX_COLUMNS)) or {"x", "y", "width", "height"} <= names


def _image_column(table: Rows, options: TableSettings, hits: Hits | None, problems: Problems) -> str | None:
    if options.image_column is not None:
        return asked_column(table, options.image_column, "image_column", problems)
    if not table.columns:
        if not table.faults:
            problems.fatal("table_columns", _no_image_column(table))
        return None
    usual = find_columns(table.columns, column_names.IMAGE_COLUMNS)
    usual = [name for name in usual if name not in (options.label_columns or ())]
    masks = find_columns(table.columns, column_names.MASK_COLUMNS)
    others = [name for name in table.columns if name not in usual and name not in masks]
    found = _by_files(table, usual, others, hits) if hits is not None else None
    if hits is not None and found in others:
        names = {name: _names(table, name) for name in others}
        alike = [name for name, own in names.items() if hits(own) == len(set(own)) > 0]
        alike = [name for name in alike if name == found or names[name] != names[found]]
        if len(alike) > 1:
            message = (
                f"{table.path}:1: the columns {quoted(alike)} hold images of the data set. Name the one "
                "whose labels these are (reader.image_column), or write a row for each image."
            )
            problems.fatal("table_columns", message)
            return None
    if found is not None:
        return found
    if usual:
        return usual[0]
    named = [name for name in others if _are_image_names(_names(table, name))]
    if named:
        return named[0]
    problems.fatal("table_columns", _no_image_column(table))
    return None


def _by_files(table: Rows, usual: Sequence[str], others: Sequence[str], hits: Hits) -> str | None:
    """The column of most names that are files: one with a usual name, if all of its names are.

    Of a column with another name at least half must be, since labels may be called like some file.
    """
    best, most = None, 0
    for column in (*usual, *others):
        names = _names(table, column)
        found = hits(names)
        if found > most and (column in usual or 2 * found >= len(set(names))):
            best, most = column, found
        if column in usual and found == len(set(names)) > 0:
            break
    return best


def _names(table: Rows, column: str) -> list[str]:
    """The first names of a column, whatever they are."""
    names = (image_name(row.cells.get(column)) for row in table.rows)
    return list(itertools.islice(filter(None, names), PROBED_NAMES))


def image_name(cell: Any) -> str | None:
    """The image name in a cell: text, a whole number, or a dictionary with a path; None if there is none."""
    if isinstance(cell, dict):
        cell = next(
            (cell[key] for key in ("path", "file_name", "filename", "src", "url") if cell.get(key)), None
        )
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        return None
    return str(cell) or None


def _are_image_names(names: Sequence[str]) -> bool:
    ending = [name for name in names if is_image_name(name.replace("\\", "/").rpartition("/")[2])]
    return 2 * len(ending) > len(names)


def _no_image_column(table: Rows) -> str:
    usual = ("image", "file_name", "filename", "path", "Id")
    columns = table.columns
    guess = next((hint for c in columns if "Did you mean" in (hint := nearest(c.lower(), usual))), "")
    message = (
        f"{table.path}:1: expected a header with a column of image names, such as {', '.join(usual[:3])}; "
        f"found: {', '.join(columns) or 'none'} in {len(table.rows)} rows."
    )
    return f"{message} {guess or 'Name it with reader.image_column.'}"


def _named(table: Rows, rest: Sequence[str], names: Sequence[str]) -> str | None:
    """A column of file names with one of some names; columns of numbers are something else."""
    found = find_columns(rest, names)
    are_files = (name for name in found if all(map(_may_be_file, cells_of(table, name))))
    return next(are_files, None)


def _may_be_file(cell: Any) -> bool:
    """Whether a cell is empty, or a text that is no number and no outline in run lengths."""
    return cell is None or (isinstance(cell, str) and not re.fullmatch(r"[\d\s.]+", cell))


def _is_score(table: Rows, column: str) -> bool:
    kinds = set(kinds_of(cells_of(table, column)))
    return bool(table.rows) and kinds <= {"zero", "one", "fraction", "present", "absent"}
