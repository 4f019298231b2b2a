"""Columns of classes: what their cells say, which columns they are, and what has to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from swtformer.datasets.problems import BrokenSetError, Problems
from swtformer.datasets.rows import Row
from swtformer.datasets.tables.class_columns import (
    LARGEST_COUNT,
    Flags,
    find_class_columns,
    kind_of,
    kinds_of,
    looks_like_class,
    number_in,
    read_flags,
    score_in,
)
from swtformer.datasets.tables.table_settings import TableSettings

KINDS = {
    "blank": [None, ""],
    "one": [True, 1, 1.0, "1", " 1.0 ", "+1", "100%", "1,0"],
    "zero": [False, 0, 0.0, "0", "0.", ".0", "-0", "0 %"],
    "minus": [-1, "-1", "-1.0"],
    "fraction": [0.5, "0.001", ".5", "5e-1", "5E-1", "80%", "80 %", "0,87", "12,5 %"],
    "count": [2, 3.0, "2", "1e3", "200%"],
    "present": ["x", " X ", "TRUE", "t", "Yes", "✓", "ja", "sí", "positive"],
    "absent": ["False", "f", "no", "N", "-", "✗", "nein", "neg"],
    "other": ["cat", " ", "1.5", -2, "-0.5", "1,5", "nan", "1e999", "1 2", "%", [1], {"a": 1}],
}


@pytest.mark.parametrize(("kind", "cell"), [(kind, cell) for kind, cells in KINDS.items() for cell in cells])
def test_kinds_of_cells(kind: str, cell: object) -> None:
    assert kind_of(cell) == kind


def test_kinds_are_counted_and_lists_are_cells_too() -> None:
    cells = ["1", 1, True, "x", None, "", ["a"], ["a"], 0.25]
    assert kinds_of(cells) == {"one": 3, "present": 1, "blank": 2, "other": 2, "fraction": 1}


@pytest.mark.parametrize(
    ("text", "number", "score"),
    [
        ("3", 3, 3),
        ("-.5e1", -5, -5),
        ("87%", None, 0.87),
        ("8,7 %", None, 0.087),
        ("0,87", None, 0.87),
        ("1,00", None, 1),
        ("2,5", None, None),
        ("1,5", None, None),
        ("", None, None),
        ("0x1", None, None),
        ("1_000", None, None),
        ("inf", None, None),
        ("x%", None, None),
    ],
)
def test_numbers_and_scores_in_text(text: str, number: float | None, score: float | None) -> None:
    assert number_in(text) == number
    assert score_in(text) == (None if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("cells", "is_class", "of_any_number"),
    [
        ("1 0 1", True, True),
        ("1 1", True, True),
        ("0.2 0.9", True, True),
        ("-1 1 0", True, True),
        ("yes no y", True, True),
        ("x _ _", True, True),
        ("_ _", False, False),
        ("true 0", True, True),
        ("1 0 0 yes", True, True),  # "yes" beside numbers is a mistake in a column of flags
        ("1 yes", False, False),
        ("x no", False, False),  # of different pairs of words
        ("si no", True, True),
        ("ja no", False, False),
        ("1 0 cat", True, True),
        ("1 0 cat _", False, False),  # half of the cells
        ("cat dog", False, False),
        ("2 0 3", True, True),
        ("2 _ 3", True, True),
        ("2 1 3", False, True),
        ("", False, False),
    ],
)
def test_which_columns_look_like_classes(cells: str, is_class: bool, of_any_number: bool) -> None:
    values = [cell.replace("_", "") for cell in cells.split()]
    assert looks_like_class(values) == is_class
    assert looks_like_class(values, any_number=True) == of_any_number


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Rows from line 2 on, by the cells of each column."""
    cells = zip(*columns.values(), strict=True)
    return [Row(line, dict(zip(columns, row, strict=True))) for line, row in enumerate(cells, start=2)]


@pytest.mark.parametrize(
    ("columns", "known", "classes", "passed"),
    [
        ({"cat": "10", "note": "ab", "dog": "01"}, (), ("cat", "dog"), ()),
        ({"cat": "10", "note": "ab", "dog": "01"}, ("note", "ape"), ("note",), ("cat", "dog")),
        ({"cat": "10", "fold": "01", "Unnamed: 0": "01"}, (), ("cat",), ("fold", "Unnamed: 0")),
        ({"fold": "01", "cat": "10"}, ("fold",), ("fold",), ("cat",)),
        ({"is_new": "10", "cat": "10", "hasTag": "01"}, (), ("cat",), ("is_new", "hasTag")),
        ({"is_cat": "10", "has dog": "01"}, (), ("is_cat", "has dog"), ()),
        ({"island": "10", "hash": "01"}, (), ("island", "hash"), ()),
        ({"ape": "__", "cat": "x_", "size": "__"}, (), ("ape", "cat"), ()),
        ({"ape": "__", "cat": "1_"}, (), ("ape", "cat"), ()),
        ({"ape": "__", "cat": "10"}, (), ("cat",), ()),  # where 0 is written, a blank column is no class
        ({"ape": "__"}, (), (), ()),
        ({}, (), (), ()),
    ],
)
def test_columns_that_stand_for_classes(
    columns: dict[str, str], known: Sequence[str], classes: tuple[str, ...], passed: tuple[str, ...]
) -> None:
    cells = {name: list(text.replace("_", " ")) for name, text in columns.items()}
    rows = rows_of({name: [cell.strip() for cell in own] for name, own in cells.items()})
    assert find_class_columns(rows, list(columns), frozenset(known)) == (classes, passed)


def test_any_numbers_are_classes_where_there_is_a_threshold() -> None:
    rows = rows_of({"cat": ["0", "1"], "mites": ["7", "9"]})
    assert find_class_columns(rows, ["cat", "mites"], frozenset()) == (("cat",), ())
    found = find_class_columns(rows, ["cat", "mites"], frozenset(), any_number=True)
    assert found == (("cat", "mites"), ())


@pytest.mark.parametrize(
    ("flags", "held", "not_held"),
    [
        (Flags(0.5, False, ""), [1, True, "1", "x", "0.5", 0.5, "50 %", "0,5", "2"], ["0.49", -1, "0", 0]),
        (Flags(0.5, False, ""), ["YES"], ["", None, "no", "-", "cat", False]),
        (Flags(3, True, ""), ["3", 4, "-1", -1, "x"], [1, "2", "0", ""]),
    ],
)
def test_cells_that_say_that_a_class_is_there(flags: Flags, held: list[Any], not_held: list[Any]) -> None:
    assert all(map(flags.holds, held))
    assert not any(map(flags.holds, not_held))


def flags_of(columns: Mapping[str, Sequence[Any]], **options: Any) -> tuple[Flags, Problems]:
    problems = Problems()
    settings = TableSettings(**options)
    return read_flags(rows_of(columns), list(columns), settings, Path("t.csv"), problems), problems


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        ("1 0", {}, Flags(0.5, False, "")),
        ("x y", {}, Flags(0.5, False, "")),
        ("x _", {}, Flags(0.5, False, "empty cells mean that it is not there")),
        ("1 0 _", {"blank": "absent"}, Flags(0.5, False, "empty cells mean that it is not there")),
        ("50 0", {}, Flags(0.5, False, "numbers from 1 on mean that it is there")),
        ("51 0.5", {"threshold": 9}, Flags(9, False, "numbers from 9 on mean that it is there")),
        ("0.2 0", {}, Flags(0.5, False, "scores from 0.5 on count (by default; reader.threshold)")),
        ("0.2 0", {"threshold": 0.1}, Flags(0.1, False, "scores from 0.1 on count (reader.threshold)")),
        ("-1 1", {}, Flags(0.5, False, "-1 means absent")),
        ("-1 0", {"minus_one": "present"}, Flags(0.5, True, "-1 means present")),
        ("-1 0", {"minus_one": "absent"}, Flags(0.5, False, "-1 means absent")),
        ("2 -1", {}, Flags(0.5, False, "numbers from 1 on mean that it is there; -1 means absent")),
    ],
)
def test_what_is_decided(cells: str, options: dict[str, Any], expected: Flags) -> None:
    flags, problems = flags_of({"cat": cells.replace("_", "").split(" ")}, **options)
    assert flags == expected
    assert not problems.has_fatal


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"cat": "0 51", "dog": "1 0"}, r"t\.csv: the columns cat hold numbers up to 51; .*threshold"),
        ({"cat": "0 2", "dog": "0.5 0"}, r"columns cat hold numbers up to 2; .*label_columns"),
        ({"ape": "0 2", "dogGrade": "0 4"}, r"columns dogGrade hold numbers up to 4"),
        ({"ape": "0 0.5", "cat": "1 0"}, r"columns ape hold scores, cat only 0 and 1; .*threshold"),
        (dict.fromkeys("abcdef", "0 51"), r"columns a, b, c, d, e, … hold numbers"),
        ({"cat": "-1 0 -1"}, r"hold -1 \(2 times\) beside 0 and 1; .*minus_one absent"),
        ({"ape": "1 1 1", "cat": "0 _ _"}, r"t\.csv:3: column 'cat' .* got '' \(2 such .*blank absent"),
        ({"cat": "no _"}, r"t\.csv:3: column 'cat' must be 0 or 1, got ''"),
        ({"cat": "0.5 _"}, r"t\.csv:3: column 'cat' must be 0 or 1, got ''"),
        ({"cat": "_ -1"}, r"t\.csv:2: column 'cat' must be 0 or 1, got ''"),
        ({"cat": "1 what"}, r"t\.csv:3: column 'cat' must be 0 or 1, got 'what'\.$"),
        ({"cat": "1 what so"}, r"t\.csv:3: column 'cat' .* got 'what' \(2 such cells\)\.$"),
    ],
)
def test_what_cannot_be_told_is_asked(columns: dict[str, str], message: str) -> None:
    _, problems = flags_of({name: cells.replace("_", "").split(" ") for name, cells in columns.items()})
    with pytest.raises(BrokenSetError, match=message) as error:
        problems.raise_fatal("set")
    assert len(error.value.problems) == 1


def test_all_questions_are_asked_at_once() -> None:
    _, problems = flags_of({"cat": ["0", "-1", "", "a"], "dog": [str(LARGEST_COUNT + 1), "0", "0", "b"]})
    with pytest.raises(BrokenSetError, match="5 problems") as error:
        problems.raise_fatal("set")
    assert [each.kind for each in error.value.problems] == ["table_columns"] * 2 + ["table_row"] * 3
