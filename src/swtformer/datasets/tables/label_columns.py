"""Which columns of a table hold labels: by their names, their cells, and against one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import Row, Rows
from swtformer.datasets.tables import column_names
from swtformer.datasets.tables.class_columns import (
    IS_OR_HAS,
    find_class_columns,
    kind_of,
    kinds_of,
    looks_like_class,
    number_in,
)
from swtformer.datasets.tables.column_names import find_columns, find_series, plain
from swtformer.datasets.tables.table_settings import TableSettings
from swtformer.errors import nearest, some

GENERIC = frozenset({*column_names.LABEL_COLUMNS, *column_names.NUMBER_COLUMNS})
"""Names (plain) of columns that say nothing about which class they mean."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they hold.

    Attributes:
        image: image names.
        labels: labels in words or numbers; several columns are read together.
        flags: one column per class.
        positions: columns of 0 and 1 in the order of the class list, in a table without header.
        mask: names of masks.
        split: names of splits.
        score: how sure the label of a row is.
        outline: outlines of a row's object; where it is empty, the object is not there.
        of_objects: whether a row is an object of an image.
        notes: what was decided, in words.
    """

    image: str
    labels: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    mask: str | None = None
    split: str | None = None
    score: str | None = None
    outline: str | None = None
    of_objects: bool = False
    notes: tuple[str, ...] = ()


def cells_of(table: Rows, column: str) -> list[Any]:
    """Cells of a column; None where a row has none."""
    return [row.cells.get(column) for row in table.rows]


def asked_column(table: Rows, name: str, setting: str, problems: Problems) -> str | None:
    """A column that the user named."""
    found = next((column for column in table.columns if column == name), None)
    found = found or next((column for column in table.columns if plain(column) == plain(name)), None)
    if found is None:
        message = f"{table.path}: has no column {name!r} (reader.{setting}). {nearest(name, table.columns)}"
        problems.fatal("table_columns", message)
    return found


def with_labels(
    table: Rows,
    chosen: Columns,
    rest: Sequence[str],
    options: TableSettings,
    known: frozenset[str],
    problems: Problems,
) -> Columns | None:
    """The columns with those of the labels, out of the rest; None, with a fatal problem, if in doubt."""
    if options.label_columns is not None:
        asked = [asked_column(table, name, "label_columns", problems) for name in options.label_columns]
        found = tuple(name for name in asked if name is not None)
        are_flags = all(
            looks_like_class(cells_of(table, name)) and plain(name) not in GENERIC for name in found
        )
        return replace(chosen, flags=found) if are_flags else replace(chosen, labels=found)
    labels = _label_columns(table, rest, known, problems)
    if labels is None:
        return None
    others = [name for name in rest if name not in labels]
    flags, passed = find_class_columns(table.rows, others, known, any_number=options.threshold is not None)
    if labels:
        return _beside_flags(table, chosen, labels, _plain_flags(table, flags), problems)
    if flags:
        for name in sorted(known - set(flags)) if known & set(flags) else ():
            message = f"{table.path}:1: the class {name!r} has no column. {nearest(name, others)}"
            problems.fatal("unknown_class", message)
        if not known and all(number_in(name) is not None for name in flags):
            problems.fatal(
                "table_columns",
                f"{table.path}:1: the columns of 0 and 1 are called by numbers ({quoted(flags)}); call them "
                "by the names of the classes, or write a header, if this is the first image.",
            )
        unread = [name for name in others if name not in flags]
        _ask_for_counts(table, flags, unread, problems)
        if passed:
            message = (
                f"{table.path}:1: columns of 0 and 1 are not read as classes: {quoted(passed)}. If they "
                "are, name all columns of classes with reader.label_columns."
            )
            problems.warn("ignored_column", message)
        unread = [name for name in unread if name not in passed and not column_names.is_metadata(name)]
        if unread:
            message = f"{table.path}:1: columns that are not 0/1 are ignored: {quoted(unread)}."
            problems.warn("ignored_column", message)
        return replace(chosen, flags=flags)
    if rest and table.rows:
        problems.fatal("table_columns", _no_label_column(table, rest))
        return None
    return chosen


def _label_columns(
    table: Rows, rest: Sequence[str], known: frozenset[str], problems: Problems
) -> tuple[str, ...] | None:
    """The columns of labels by their names; none where there are only columns of classes."""
    usual = (*column_names.LABEL_COLUMNS, *column_names.LESS_SURE_LABELS)
    series = [name for name in find_series(rest, usual) if name not in known]
    if len(series) > 1 and not all(looks_like_class(cells_of(table, name)) for name in series):
        return tuple(series)
    ending = [plain(name) for name in rest if plain(name).endswith(column_names.LABEL_ENDINGS)]
    numbers = column_names.NUMBER_COLUMNS
    alike = {name for name in rest if looks_like_class(cells_of(table, name))}
    for names in (column_names.LABEL_COLUMNS, column_names.LESS_SURE_LABELS, ending, numbers):
        found = [name for name in find_columns(rest, names) if name not in known]
        if names in (ending, column_names.LESS_SURE_LABELS):  # a column "defect" of 0 and 1 is a class
            found = [
                name for name in found if not alike & {name} or (alike == {name} and _are_more(table, name))
            ]
        found += [name for name in rest if "." in name and plain(name.rpartition(".")[2]) in names]
        if not found:
            continue
        words = [name for name in found if not _are_numbers(cells_of(table, name))]
        candidates = words or found
        different = {repr(cells_of(table, name)): name for name in reversed(candidates)}
        if len(different) > 1:
            problems.fatal(
                "table_columns",
                f"{table.path}:1: several columns may hold the labels: {quoted(candidates)} "
                f"({len(table.rows)} rows); name the right one, such as reader.label_columns "
                f"{candidates[0]!r}.",
            )
            return None
        return tuple(candidates[:1])
    return ()


def _are_more(table: Rows, column: str) -> bool:
    """Whether a column holds numbers above 1: the grades of a diagnosis, where no other column is a class."""
    return kinds_of(cells_of(table, column))["count"] > 0


def _are_numbers(cells: Iterable[Any]) -> bool:
    return all(cell in (None, "") or number_in(str(cell).strip()) is not None for cell in cells)


def _ask_for_counts(table: Rows, flags: Sequence[str], unread: Sequence[str], problems: Problems) -> None:
    """Refuse columns of counts beside which others may be counts that are never 0."""
    counts = [name for name in flags if kinds_of(cells_of(table, name))["count"]]
    alike = [
        name
        for name in unread
        if not column_names.is_metadata(name) and set(kinds_of(cells_of(table, name))) <= {"one", "count"}
    ]
    if counts and alike:
        problems.fatal(
            "table_columns",
            f"{table.path}:1: {quoted(counts)} are read as counts of objects; are {quoted(alike)}, which "
            "are never 0? Name all columns of classes with reader.label_columns.",
        )


def _plain_flags(table: Rows, columns: Sequence[str]) -> list[str]:
    """Columns that hold flags alone, and say neither the number of a class nor how sure a label is."""
    other = {*GENERIC, *column_names.SCORE_COLUMNS}
    plain_kinds = {"zero", "one", "present", "absent", "blank"}
    return [
        name
        for name in columns
        if plain(name) not in other and set(kinds_of(cells_of(table, name))) <= plain_kinds
    ]


def _beside_flags(
    table: Rows, chosen: Columns, labels: tuple[str, ...], flags: Sequence[str], problems: Problems
) -> Columns:
    """A column of labels beside columns of 0 and 1: they must agree if they are about the same classes."""
    if not flags:
        return replace(chosen, labels=labels)
    said = [str(row.cells.get(labels[0]) or "").strip() for row in table.rows]
    differing = [row.line for row, text in zip(table.rows, said, strict=True) if not _agree(row, text, flags)]
    if not differing:
        note = f"the column {labels[0]!r} says the same as the columns {quoted(flags)}, which are read"
        return replace(chosen, flags=tuple(flags), notes=(note,))
    are_related = bool({text.lower() for text in said} & {name.lower() for name in flags})
    are_related |= _are_numbers(said) and 2 * len(differing) < len(said)
    if are_related or sum(not IS_OR_HAS.match(name) for name in flags) > 1:
        how = (
            f"say different things, in {len(differing)} of {len(said)} rows"
            if are_related
            else "may be labels"
        )
        problems.fatal(
            "table_columns",
            f"{table.path}:{differing[0]}: the column {labels[0]!r} and the columns {quoted(flags)} {how}. "
            f"Name those to read: reader.label_columns {labels[0]}, or reader.label_columns "
            f"{','.join(flags)}.",
        )
    else:
        message = f"{table.path}:1: beside the column {labels[0]!r}, columns of 0 and 1 are not read: "
        problems.warn("ignored_column", message + f"{quoted(flags)}.")
    return replace(chosen, labels=labels)


def _agree(row: Row, text: str, flags: Sequence[str]) -> bool:
    """Whether a label, in words or as the number of a column, is what the columns of 0 and 1 say."""
    present = [name for name in flags if kind_of(row.cells.get(name)) in {"one", "present"}]
    number = number_in(text)
    if number is None:
        return [name.lower() for name in present] == ([text.lower()] if text else [])
    return 0 <= number < len(flags) and present == [flags[int(number)]]


def by_position(table: Rows, image: str, options: TableSettings, problems: Problems) -> Columns | None:
    """Columns of a table without header: image and labels, with a box of four numbers between them or not."""
    rest = [name for name in table.columns if name != image]
    note = f"there is no header; image names are from {image!r}"
    split = next((name for name in rest if _are_splits(cells_of(table, name))), None)
    if split is not None:
        rest.remove(split)
        note += f", splits from {split!r}"
    if options.label_columns is not None:
        asked = [asked_column(table, name, "label_columns", problems) for name in options.label_columns]
        return Columns(
            image, labels=tuple(name for name in asked if name is not None), split=split, notes=(note,)
        )
    numbers = [name for name in rest if _are_numbers(cells_of(table, name))]
    filled = [name for name in rest if any(cell not in (None, "") for cell in cells_of(table, name))]
    if len(numbers) >= 4 and len(filled) >= 5 and rest[:4] == numbers[:4] and _are_pixels(table, rest[:4]):
        return Columns(
            image, labels=tuple(filled[4:5]), split=split, of_objects=True, notes=(f"{note}, boxes follow",)
        )
    kinds = {kind for name in rest for kind in kinds_of(cells_of(table, name))}
    if len(rest) > 1 and kinds <= {"zero", "one"}:
        return Columns(image, positions=tuple(rest), split=split, notes=(note,))
    words = [name for name in filled if name not in numbers]
    if numbers and words:
        problems.fatal(
            "table_columns",
            f"{table.path}: has no header, and holds numbers ({quoted(numbers)}) beside names; write a "
            f"header, or name the columns of the labels, such as reader.label_columns {words[0]!r}.",
        )
        return None
    return Columns(image, labels=tuple(filled), split=split, notes=(note,))


def _are_splits(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(str(cell).lower() in column_names.SPLIT_WORDS for cell in cells)


def _are_pixels(table: Rows, columns: Sequence[str]) -> bool:
    """Whether columns of numbers are no flags: corners of boxes."""
    return any((number_in(str(cell)) or 0) > 1 for name in columns for cell in cells_of(table, name))


def _no_label_column(table: Rows, rest: Sequence[str]) -> str:
    usual = ("labels", "label", "classes", "class", "categories", "tags")
    first = table.rows[0].cells
    shown = "; ".join(f"{name} ({str(first.get(name))!r:.30})" for name in rest[:8])
    guess = next((hint for c in rest if "Did you mean" in (hint := nearest(c.lower(), usual))), "")
    if find_columns(rest, (*column_names.OUTLINE_COLUMNS, *column_names.BOX_COLUMNS)):
        guess = "Its objects are not named; if all are of one class, add a column 'label' with its name."
    return (
        f"{table.path}:1: expected a column {' or '.join(usual[:2])}, or one of 0 and 1 for each class; "
        f"found in {len(table.rows)} rows: {shown}{'; …' if len(rest) > 8 else ''}. "
        f"{guess or 'Name the column with reader.label_columns.'}"
    )


def quoted(names: Sequence[str]) -> str:
    """The first names, for messages."""
    return some(map(repr, names))
