"""Image-level labels: label tables, label cells, and declared class lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.datasets.assemble import BACKGROUND_NAMES, Classes
from swtformer.datasets.groups import group_column
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import (
    Row,
    Rows,
    find_column,
    no_column,
    parse_json,
    read_lines,
    read_rows,
    read_text,
)
from swtformer.settings import DataSettings

IMAGE_COLUMNS = ("image", "file_name", "filename", "path", "file")
LABEL_COLUMNS = ("labels", "label", "classes", "class", "categories")
CLASS_FILES = ("classes.txt", "classes.json", "class_names.txt")
"""Files beside a data set that declare its classes, in the order in which they are looked for."""


@dataclass(frozen=True)
class LabelRow:
    """One image of a label table; `labels` is None if the table has no labels at all."""

    source: str
    name: str
    labels: tuple[str, ...] | None
    mask: str | None
    split: str | None
    group: str | None = None


@dataclass(frozen=True)
class LabelTable:
    """A label table.

    Attributes:
        rows: in file order.
        names: class names that the table knows: its 0/1 columns in order, else the labels found, sorted.
        has_splits: whether it has a split column.
        declares_order: whether the order of `names` is the table's own (0/1 columns).
    """

    rows: tuple[LabelRow, ...]
    names: tuple[str, ...]
    has_splits: bool
    declares_order: bool


def declared_classes(folder: Path, settings: DataSettings, problems: Problems) -> tuple[str, ...] | None:
    """Class names in their declared order: the setting, else a class file in `folder`, else None.

    A leading "background" is left out: a mask's 0 is background in every set.
    """
    if settings.classes is not None:
        return _checked_classes(settings.classes, "classes of the settings", problems)
    for name in CLASS_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if path.suffix == ".txt":
            return _checked_classes([line for _, line in read_lines(path)], str(path), problems)
        return _checked_classes(_json_names(path, problems), str(path), problems)
    return None


def _json_names(path: Path, problems: Problems) -> list[str]:
    try:
        value = parse_json(read_text(path))
    except ValueError as error:
        problems.fatal("class_file", f"{path}: is not JSON ({error}).")
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        problems.fatal("class_file", f'{path}: expected a list of names such as ["cat", "dog"].')
        return []
    return value


def _checked_classes(names: Sequence[str], where: str, problems: Problems) -> tuple[str, ...]:
    cleaned = [name.strip() for name in names]
    if cleaned and cleaned[0].lower() in BACKGROUND_NAMES:
        cleaned = cleaned[1:]
    for name in dict.fromkeys(cleaned):
        if not name:
            problems.fatal("class_file", f"{where}: holds an empty class name.")
        elif name.lower() in BACKGROUND_NAMES:
            problems.fatal(
                "class_file", f"{where}: {name!r} cannot be a class; background is always the value 0."
            )
        elif cleaned.count(name) > 1:
            problems.fatal("class_file", f"{where}: names the class {name!r} twice.")
    if not cleaned:
        problems.fatal("class_file", f"{where}: names no class.")
    return tuple(cleaned)


def classes_of(table: LabelTable, declared: tuple[str, ...] | None) -> Classes:
    """The declared classes, or those that the whole table knows, whatever the split."""
    if declared is not None:
        return Classes(declared, declared=True)
    return Classes(table.names, declared=table.declares_order)


def read_label_table(
    path: Path, *, declared: Iterable[str] | None, problems: Problems, group: str | None = None
) -> LabelTable:
    """Read a CSV or JSONL file of image names and labels.

    Labels come from one column (`LABEL_COLUMNS`) or from one 0/1 column per class; a table whose only
    columns are image, mask and split is unlabelled. Rows that cannot be read are fatal problems.

    Args:
        path: the file.
        declared: class names known in advance; a label cell that equals one is never split.
        problems: collects what is wrong.
        group: `data.group`; a column of this name holds groups.

    Raises:
        DataError: the file cannot be read at all.
    """
    table = read_rows(path)
    for fault in table.faults:
        problems.fatal("table_row", fault)
    image = find_column(table.columns, IMAGE_COLUMNS)
    if image is None:
        if table.columns or not table.faults:
            problems.fatal("table_columns", no_column(path, table.columns, IMAGE_COLUMNS))
        return LabelTable((), (), has_splits=False, declares_order=False)
    mask = find_column(table.columns, ("mask",))
    split = find_column(table.columns, ("split",))
    labels = find_column(table.columns, LABEL_COLUMNS)
    known = frozenset(declared or ())
    group = group_column(table.columns, group, path, problems)
    others = [name for name in table.columns if name not in {image, mask, split, labels, group}]
    per_class = [] if labels else [name for name in others if name in known or _is_binary(table, name)]
    if labels is None and others and table.rows and not per_class:
        problems.fatal("table_columns", no_column(path, table.columns, LABEL_COLUMNS))
    if per_class and (ignored := ", ".join(name for name in others if name not in per_class)):
        problems.warn("ignored_column", f"{path}:1: columns that are not 0/1 are ignored: {ignored}.")
    rows = []
    for row in table.rows:
        name = _text(row, image, path, problems)
        if name is None:
            continue
        row_labels: tuple[str, ...] | None = None
        if labels is not None:
            row_labels = _cell_labels(row, labels, known, path, problems)
        elif per_class:
            row_labels = _binary_labels(row, per_class, path, problems)
        rows.append(
            LabelRow(
                source=f"{path}:{row.line}",
                name=name,
                labels=row_labels,
                mask=_optional_text(row, mask),
                split=_optional_text(row, split),
                group=_optional_text(row, group),
            )
        )
    found = sorted({label for row in rows for label in row.labels or ()})
    return LabelTable(
        tuple(rows),
        tuple(per_class) if per_class else tuple(found),
        has_splits=split is not None,
        declares_order=bool(per_class),
    )


def _text(row: Row, column: str, path: Path, problems: Problems) -> str | None:
    value = row.cells.get(column)
    if isinstance(value, str) and value:
        return value
    problems.fatal(
        "table_row", f"{path}:{row.line}: the column {column!r} holds no image name, got {value!r:.60}."
    )
    return None


def _optional_text(row: Row, column: str | None) -> str | None:
    value = row.cells.get(column) if column else None
    return str(value) if value not in (None, "") else None


def _cell_labels(
    row: Row, column: str, known: frozenset[str], path: Path, problems: Problems
) -> tuple[str, ...] | None:
    if column not in row.cells:
        message = f"{path}:{row.line}: has no {column!r}; write [] for an image without any class."
        problems.fatal("table_row", message)
        return None
    try:
        return split_labels(row.cells[column], known)
    except ValueError as error:
        problems.fatal("table_row", f"{path}:{row.line}: {error}.")
        return None


def split_labels(value: Any, known: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Labels in one cell, in order and each once; "background" and "none" mean no class.

    Text is one known class, a JSON list, or labels separated by ``;``, else ``|``, else ``,``.

    Raises:
        ValueError: the cell holds neither text nor a list of names.
    """
    if isinstance(value, str):
        text = value.strip()
        if text in known:
            return (text,)
        if text.startswith("["):
            try:
                value = parse_json(text)
            except ValueError:
                raise ValueError(f'{text!r:.60} is not a JSON list such as ["cat", "dog"]') from None
        else:
            mark = next((mark for mark in ";|," if mark in text), ";")
            value = text.split(mark)
    if value is None:
        value = []
    # By exact type: True and False are ints, but not names.
    if not isinstance(value, list) or not all(type(name) in (str, int) for name in value):
        raise ValueError(f"labels must be names, got {value!r:.60}")
    names = dict.fromkeys(str(name).strip() for name in value)
    return tuple(name for name in names if name and (name in known or name.lower() not in BACKGROUND_NAMES))


_TRUE = frozenset({"1", "1.0", "true"})
_FALSE = frozenset({"0", "0.0", "false"})


def _is_binary(table: Rows, column: str) -> bool:
    """Whether more than half of a column's cells are 0 or 1; other cells are then problems of their rows."""
    cells = [str(row.cells.get(column, "")).lower() for row in table.rows]
    return 2 * sum(cell in _TRUE or cell in _FALSE for cell in cells) > len(cells)


def _binary_labels(row: Row, columns: list[str], path: Path, problems: Problems) -> tuple[str, ...]:
    labels = []
    for column in columns:
        cell = str(row.cells.get(column, "")).lower()
        if cell in _TRUE:
            labels.append(column)
        elif cell not in _FALSE:
            message = f"{path}:{row.line}: column {column!r} must be 0 or 1, got {cell!r:.60}."
            problems.fatal("table_row", message)
    return tuple(labels)
