"""Columns of labels: by their names, against columns of 0 and 1, and by position."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swtformer.datasets.problems import BrokenSetError, Problems
from swtformer.datasets.rows import Row, Rows, numbered
from swtformer.datasets.tables.label_columns import (
    GENERIC,
    Columns,
    asked_column,
    by_position,
    cells_of,
    quoted,
    with_labels,
)
from swtformer.datasets.tables.table_settings import TableSettings

IMAGE = Columns("image")


def table_of(columns: Mapping[str, str], *, has_header: bool = True) -> Rows:
    """A table by the cells of each column, separated by blanks; "_" is an empty cell."""
    cells = ([cell.replace("_", "") for cell in text.split()] for text in columns.values())
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True))
    start = 2 if has_header else 1
    found = tuple(Row(line, row) for line, row in enumerate(rows, start))
    return Rows(Path("t.csv"), tuple(columns), found, (), has_header)


def labelled(
    columns: Mapping[str, str], known: tuple[str, ...] = (), **options: Any
) -> tuple[Columns | None, Problems]:
    problems = Problems()
    settings = TableSettings(**options)
    found = with_labels(table_of(columns), IMAGE, list(columns), settings, frozenset(known), problems)
    return found, problems


def messages(problems: Problems) -> list[str]:
    return [each.message for each in problems.warnings]


def test_cells_and_names_of_columns() -> None:
    table = Rows(Path("t.jsonl"), ("a", "b"), (Row(1, {"a": 3}), Row(2, {"b": []})), ())
    assert cells_of(table, "a") == [3, None]
    assert quoted(["a", "b"]) == "'a', 'b'"
    assert quoted(list("abcde")) == "'a', 'b', 'c', 'd', 'e'"
    assert quoted(list("abcdef")) == "'a', 'b', 'c', 'd', 'e', …"
    assert {"labels", "class", "classid"} <= GENERIC
    assert "diagnosis" not in GENERIC


def test_a_column_that_is_asked_for_is_the_one_of_that_very_name() -> None:
    problems = Problems()
    table = table_of({"Image ID": "a", "image_id": "b"})
    names = {name: asked_column(table, name, "image_column", problems) for name in ("image_id", "IMAGE-ID")}
    assert names == {"image_id": "image_id", "IMAGE-ID": "Image ID"}
    assert not problems.has_fatal
    assert asked_column(table, "imageid2", "image_column", problems) is None
    with pytest.raises(BrokenSetError, match=r"no column 'imageid2' \(reader\.image_column\)\. Did you mean"):
        problems.raise_fatal("set")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"note": "a b", "Label": "cat dog"}, ("Label",)),
        ({"class": "cat dog", "labels": "cat dog"}, ("labels",)),  # the surest name of equal columns
        ({"label": "0 1", "class": "cat dog"}, ("class",)),  # names rather than numbers
        ({"class_id": "0 1"}, ("class_id",)),
        ({"class_id": "0 1", "classname": "cat dog"}, ("classname",)),
        ({"dx": "nv mel", "note": "a b"}, ("dx",)),
        ({"dx": "nv mel", "tag": "a b"}, ("tag",)),
        ({"grading_class": "a b"}, ("grading_class",)),
        ({"result.label": "cat dog", "note": "a b"}, ("result.label",)),
        ({"label1": "cat dog", "label2": "ape _"}, ("label1", "label2")),
        ({"diagnosis": "0 4"}, ("diagnosis",)),  # grades, where no other column is a class
    ],
)
def test_labels_by_the_name_of_their_column(columns: dict[str, str], expected: tuple[str, ...]) -> None:
    found, problems = labelled(columns)
    assert found == Columns("image", labels=expected)
    assert not problems.has_fatal


@pytest.mark.parametrize(
    ("columns", "known", "expected"),
    [
        ({"cat": "1 0", "dog": "0 1"}, (), ("cat", "dog")),
        ({"cat": "1 0", "defect": "0 1"}, (), ("cat", "defect")),  # not "the column of defects"
        ({"defect": "0 1"}, (), ("defect",)),
        ({"diagnosis": "0 4", "cat": "0 1"}, (), ("diagnosis", "cat")),
        ({"label1": "1 0", "label2": "0 1"}, (), ("label1", "label2")),
        ({"tag": "1 0", "cat": "0 1"}, ("tag", "cat"), ("tag", "cat")),
        ({"7": "1 0", "8": "0 1"}, ("7", "8"), ("7", "8")),
    ],
)
def test_one_column_per_class(
    columns: dict[str, str], known: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    found, problems = labelled(columns, known)
    assert found == Columns("image", flags=expected)
    assert not problems.has_fatal
    assert messages(problems) == []


def test_columns_that_are_passed_over_are_told() -> None:
    found, problems = labelled({"cat": "1 0", "is_new": "0 1", "note": "a b", "width": "300 500"})
    assert found == Columns("image", flags=("cat",))
    assert messages(problems) == [
        "t.csv:1: columns of 0 and 1 are not read as classes: 'is_new'. If they are, name all columns of "
        "classes with reader.label_columns.",
        "t.csv:1: columns that are not 0/1 are ignored: 'note'.",
    ]


def test_columns_that_are_asked_for_are_classes_if_they_look_so() -> None:
    columns = {"is_new": "0 1", "note": "a b", "label": "0 1"}
    assert labelled(columns, label_columns=["IS NEW"])[0] == Columns("image", flags=("is_new",))
    assert labelled(columns, label_columns=["label"])[0] == Columns("image", labels=("label",))
    both = labelled(columns, label_columns=["is_new", "note"])[0]
    assert both == Columns("image", labels=("is_new", "note"))
    _, problems = labelled(columns, label_columns=["notes"])
    with pytest.raises(BrokenSetError, match=r"no column 'notes' \(reader\.label_columns\)\. .* 'note'"):
        problems.raise_fatal("set")


@pytest.mark.parametrize("said", ["cat Dog _", "0 1 _"])
def test_a_column_of_labels_may_say_the_same_as_columns_of_0_and_1(said: str) -> None:
    found, problems = labelled({"label": said, "cat": "1 0 0", "dog": "0 1 0"})
    note = "the column 'label' says the same as the columns 'cat', 'dog', which are read"
    assert found == Columns("image", flags=("cat", "dog"), notes=(note,))
    assert not problems.has_fatal


def test_flags_that_are_about_something_else_are_not_read() -> None:
    for flags in (["sunny"], ["is_new", "is_old"]):
        found, problems = labelled({"label": "cat dog", **dict.fromkeys(flags, "0 1")})
        assert found == Columns("image", labels=("label",))
        names = ", ".join(map(repr, flags))
        (message,) = messages(problems)
        assert message == f"t.csv:1: beside the column 'label', columns of 0 and 1 are not read: {names}."
        assert not problems.has_fatal
    for name, cells in (("score", "0 1"), ("class_id", "0 1"), ("sure", "0.2 0.9")):
        found, problems = labelled({"label": "cat dog", name: cells})
        assert (found, messages(problems)) == (Columns("image", labels=("label",)), [])


@pytest.mark.parametrize(
    ("columns", "known", "message"),
    [
        ({"class": "a b", "tag": "b a"}, (), r"t\.csv:1: several .* 'class', 'tag' \(2 .*columns 'class'"),
        ({"label": "cat cat", "cat": "1 0"}, (), r"t\.csv:3: .*'label' and .*'cat' say different .* 1 of 2"),
        ({"label": "0 1 1", "a": "1 0 1", "b": "0 1 0"}, (), r"csv:4: .* say different .* 1 of 3 rows"),
        ({"label": "x y", "a": "1 0", "b": "0 1"}, (), r"may be labels\. .*label_columns a,b\."),
        ({"cat": "1 0", "dog": "0 1"}, ("cat", "dgo"), r"class 'dgo' has no column\. .* mean 'dog'"),
        ({"1": "1 0", "0": "0 1"}, (), r"csv:1: .*called by numbers \('1', '0'\).*write a header"),
        ({"cat": "0 2", "dog": "3 1"}, (), r"'cat' are read as counts of objects; are 'dog', .* never 0"),
        (
            {"lables": "a b"},
            (),
            r"csv:1: expected a column labels .* in 2 rows: lables .*'a'.* mean 'labels'",
        ),
        ({"note": "a b"}, (), r"note \('a'\)\. Name the column with reader\.label_columns"),
        ({"xmin": "3 4"}, (), r"objects are not named; .*column 'label'"),
        ({f"n{i}": "a b" for i in range(9)}, (), r"n7 \('a'\); …\. "),
    ],
)
def test_what_cannot_be_told_is_asked(columns: dict[str, str], known: tuple[str, ...], message: str) -> None:
    _, problems = labelled(columns, known)
    with pytest.raises(BrokenSetError, match=message):
        problems.raise_fatal("set")


def test_counts_and_thresholds() -> None:
    columns = {"cat": "0 2", "dog": "3 4"}
    assert labelled(columns, threshold=2)[0] == Columns("image", flags=("cat", "dog"))
    found, problems = labelled({"cat": "0 2", "width": "3 4"})  # no class by its name
    assert found == Columns("image", flags=("cat",))
    assert not problems.has_fatal


def test_a_table_of_images_alone_has_no_labels() -> None:
    assert labelled({})[0] == IMAGE
    assert labelled({"note": ""})[0] == IMAGE


def positions(*cells: str, **options: Any) -> tuple[Columns | None, Problems]:
    """Columns of a table without header, by the cells of each column after that of the images."""
    columns = dict(zip(numbered(len(cells) + 1), ("a b", *cells), strict=True))
    problems = Problems()
    table = table_of(columns, has_header=False)
    return by_position(table, "column 1", TableSettings(**options), problems), problems


NOTE = "there is no header; image names are from 'column 1'"
SPLIT_NOTE = f"{NOTE}, splits from 'column 2'"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["cat dog"], {"labels": ("column 2",)}),
        (["3 4"], {"labels": ("column 2",)}),
        (["cat dog", "ape _"], {"labels": ("column 2", "column 3")}),
        (["1 0"], {"labels": ("column 2",)}),
        (["1 0", "0 1"], {"positions": ("column 2", "column 3")}),
        (["1 0", "0 _"], {"labels": ("column 2", "column 3")}),
        (["1 0"] * 5, {"positions": numbered(6)[1:]}),
        (["Train TEST", "cat dog"], {"labels": ("column 3",), "split": "column 2", "notes": (SPLIT_NOTE,)}),
        (["train cat"], {"labels": ("column 2",)}),
        (
            ["3 _", "4 _", "9 _", "9 _", "cat _"],
            {"labels": ("column 6",), "of_objects": True, "notes": (f"{NOTE}, boxes follow",)},
        ),
        (["3 1", "4 1", "9 1"], {"labels": numbered(4)[1:]}),
        ([], {}),
    ],
)
def test_columns_by_their_position(cells: list[str], expected: dict[str, Any]) -> None:
    found, problems = positions(*cells)
    assert found == Columns("column 1", **{"notes": (NOTE,), **expected})
    assert not problems.has_fatal


def test_numbers_beside_names_are_asked_about_unless_columns_are_named() -> None:
    found, problems = positions("3 4", "cat dog")
    assert found is None
    with pytest.raises(BrokenSetError, match=r"no header, and holds numbers \('column 2'\).*'column 3'"):
        problems.raise_fatal("set")
    found, problems = positions("3 4", "cat dog", label_columns=["Column 3", "column 9"])
    assert found == Columns("column 1", labels=("column 3",), notes=(NOTE,))
    with pytest.raises(BrokenSetError, match=r"no column 'column 9' \(reader\.label_columns\)"):
        problems.raise_fatal("set")
