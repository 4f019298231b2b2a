"""Labels that are numbers: of a class list, or lists with one value per class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from swtformer.datasets.labels import ClassList
from swtformer.datasets.problems import Problems
from swtformer.datasets.tables.class_columns import number_in
from swtformer.datasets.tables.label_cells import Cell
from swtformer.errors import some

WAY_OUT = (
    'write classes.json beside the table, such as {"0": "cat", "1": "dog"}, or name the classes from '
    "number 0 on in classes.txt, a name per line, or with data.classes"
)


def whole_number(name: str | int) -> int | None:
    """The whole number that a label is, or None."""
    number = number_in(str(name).strip())
    return int(number) if number is not None and number.is_integer() else None


def names_of_numbers(
    numbers: Sequence[int],
    declared: ClassList | None,
    *,
    path: Path,
    rows: int,
    notes: list[str],
    problems: Problems,
) -> dict[int, str] | None:
    """Names of the numbers that stand for labels; none where they are names, None where they mean nothing.

    Args:
        numbers: those that occur, sorted.
        declared: the class list, by whose numbers they are read.
        path: the table.
        rows: its number of rows.
        notes: what was decided is added.
        problems: receives a fatal problem where there is no list, or it does not fit.
    """
    if declared and {str(number) for number in numbers} <= set(declared.names):
        return {}
    found = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
    if declared is None:
        binary = " If 1 means that a class is there, call the column by its name."
        problems.fatal(
            "number_labels",
            f"{path}: the labels of {rows} rows are numbers ({found}), and nothing says what they mean; "
            f"{WAY_OUT}.{binary if set(numbers) <= {0, 1} else ''}",
        )
        return None
    by_number = dict(declared.by_number)
    if len(declared.names) == 1 and set(numbers) == {0, 1} and set(by_number) == {0}:
        by_number = {0: "", 1: declared.names[0]}  # one class that is there or not
    if not set(numbers) <= set(by_number):
        problems.fatal(
            "number_labels",
            f"{path}: the labels of {rows} rows are numbers ({found}), but {declared.where} numbers its "
            f"classes from {min(by_number, default=0)} to {max(by_number, default=0)}; write classes.json, "
            "such as "
            '{"1": "cat", "2": "dog"}.',
        )
        return None
    shown = some(f"{number}={by_number[number] or 'background'}" for number in numbers)
    notes.append(f"numbers are classes by {Path(declared.where).name} ({shown})")
    return by_number


def resolve_lists(
    cells: Sequence[Cell | None],
    declared: ClassList | None,
    *,
    path: Path,
    notes: list[str],
    problems: Problems,
) -> list[Cell | None]:
    """Lists of numbers as scores by name, where they are one value per class, else as numbers of classes.

    They are one value per class if all have one length and hold nothing but 0, 1, -1 and fractions, and
    either some value is in a list twice, as numbers of classes are not, or the length is that of the class
    list. Of two classes, "0 1" may be both numbers or the second class alone: that is asked, unless "1 0"
    occurs as well, as then all images would show both.
    """
    lists = [cell.numbers for cell in cells if cell and cell.numbers]
    values = {value for own in lists for value in own}
    lengths = {len(own) for own in lists}
    has_scores = any(isinstance(value, float) for value in values)
    sizes = {len(declared.names), len(declared.by_number)} if declared else set()
    is_repeated = any(len(set(own)) < len(own) for own in lists)
    are_flags = all(value in (0, 1, -1) or 0 < value < 1 for value in values) and len(lengths) == 1
    has_single = any(whole_number(name) is not None for cell in cells if cell for name in cell.names)
    is_certain = has_scores or is_repeated or len(set(lists)) > 1
    may_be_flags = bool(lists) and are_flags and lengths <= sizes and 0 in values and not has_single
    if may_be_flags and not is_certain and _may_be_numbers(values, max(lengths), declared):
        example = " ".join(map(str, lists[0]))
        problems.fatal(
            "number_labels",
            f"{path}: is {example!r} the numbers of classes, or a 0 or 1 for each class? Write names, or a "
            "column of 0 and 1 for each class.",
        )
        return [None] * len(cells)
    if not (may_be_flags or (lists and are_flags and (has_scores or is_repeated))):
        if has_scores:
            problems.fatal("table_row", f"{path}: lists of scores must all have one value per class.")
        return [cell and _as_names(cell) for cell in cells]
    (length,) = lengths
    if declared is None or length not in sizes:
        known = (
            f"{declared.where} names {len(declared.names)} classes" if declared else "there is no class list"
        )
        problems.fatal(
            "number_labels",
            f"{path}: the labels of {len(lists)} rows are lists of {length} values, one per class, but "
            f"{known}; {WAY_OUT}.",
        )
        return [None] * len(cells)
    names = declared.names
    if length != len(names):  # background has a value as well
        names = tuple(name for _, name in sorted(declared.by_number.items()))
    notes.append(f"lists of {length} values are classes in the order of {Path(declared.where).name}")
    return [cell and _as_scores(cell, names) for cell in cells]


def _may_be_numbers(values: Collection[float], length: int, declared: ClassList | None) -> bool:
    """Whether lists that may be one value per class may be numbers of a class list as well."""
    numbers = declared.by_number if declared else {}
    return numbers.keys() >= set(values) and (length > 1 or len(numbers) == 1)


def _as_names(cell: Cell) -> Cell:
    return replace(cell, names=(*cell.names, *map(int, cell.numbers)), numbers=())


def _as_scores(cell: Cell, names: Sequence[str]) -> Cell:
    scores = zip(names, cell.numbers, strict=False)
    return replace(cell, scores=tuple((name, float(value)) for name, value in scores if name), numbers=())
