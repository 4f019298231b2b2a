"""Which columns of a table are read, by their names, their cells, and the files of the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from swtformer.datasets.problems import BrokenSetError, Problems
from swtformer.datasets.rows import Row, Rows, numbered
from swtformer.datasets.tables.label_columns import Columns
from swtformer.datasets.tables.table_columns import SURE_NAMES, choose_columns, image_name
from swtformer.datasets.tables.table_settings import TableSettings


def table_of(columns: Mapping[str, str | Sequence[Any]], *, has_header: bool = True) -> Rows:
    """A table by the cells of each column; in text they are separated by blanks, and "_" is an empty one."""
    cells = (
        [cell.replace("_", "") for cell in own.split()] if isinstance(own, str) else own
        for own in columns.values()
    )
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True))
    found = tuple(Row(line, row) for line, row in enumerate(rows, 2))
    return Rows(Path("t.csv"), tuple(columns), found, (), has_header)


def chosen(
    columns: Mapping[str, str | Sequence[Any]], files: str | None = None, **options: Any
) -> tuple[Columns | None, Problems]:
    """Columns that are chosen, where the data set has some files, or none are looked at."""
    there = set((files or "").split())
    problems = Problems()
    found = choose_columns(
        table_of(columns),
        TableSettings(**options),
        known=frozenset(),
        hits=None if files is None else lambda names: len(there & set(names)),
        problems=problems,
    )
    return found, problems


def read(columns: Mapping[str, str | Sequence[Any]], files: str | None = None, **options: Any) -> Columns:
    """Columns that are chosen without any problem."""
    found, problems = chosen(columns, files, **options)
    problems.raise_fatal("set")
    assert found is not None
    assert problems.warnings == ()
    return found


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("a.jpg", "a.jpg"),
        (7, "7"),
        (0, "0"),
        ({"bytes": None, "path": "a.jpg"}, "a.jpg"),
        ({"url": "u", "path": "", "file_name": "f"}, "f"),
        ({"path": 7}, "7"),
        ({"path": True}, None),
        ({"id": "a.jpg"}, None),
        ("", None),
        (None, None),
        (True, None),
        (1.5, None),
        (["a.jpg"], None),
    ],
)
def test_image_names_in_cells(cell: object, name: str | None) -> None:
    assert image_name(cell) == name


@pytest.mark.parametrize(
    ("columns", "files", "image"),
    [
        ({"id": "1 2", "Image": "a b", "label": "x y"}, None, "Image"),  # the surest name
        ({"id": "1 2", "Image": "a b", "label": "x y"}, "1 2", "id"),  # unless files say otherwise
        ({"id": "1 2", "Image": "a b", "label": "x y"}, "a b 1 2", "Image"),
        ({"id": "1 2 3", "Image": "a b c", "label": "x y z"}, "a 1 2", "id"),
        ({"id": "1 2", "Image": "a b", "label": "x y"}, "z", "Image"),
        ({"shot": "a b", "label": "x y"}, "a", "shot"),  # half of a column with another name
        ({"name": "u v", "shot": "a b", "label": "x y"}, "u a b", "shot"),
        ({"shot": "a.jpg b.PNG c", "label": "x y z"}, None, "shot"),  # most end like images
        ({"shot": [r"d.x\a.jpg", "e/b.tif"], "label": "x y"}, None, "shot"),
        ({"shot": [{"path": "a.jpg"}, {"path": "b.jpg"}], "label": "x y"}, "a.jpg b.jpg", "shot"),
        ({"first": "a b", "second": "a b", "label": "x y"}, "a b", "first"),  # the same names twice
    ],
)
def test_the_column_of_image_names(columns: dict[str, Any], files: str | None, image: str) -> None:
    assert read(columns, files).image == image


def test_columns_that_the_user_names_stand_above_everything() -> None:
    columns = {"image": "a b", "shot": "c d", "label": "x y", "kind": "u v"}
    found = read(columns, "a b", image_column="Shot", label_columns=["kind"])
    assert found == Columns("shot", labels=("kind",))
    assert read({"id": "a b", "name": "x y"}, label_columns=["id"]).image == "name"


def test_only_the_first_fifty_names_are_looked_up() -> None:
    columns = {"image": [f"a{i}" for i in range(60)], "id": [f"b{i}" for i in range(60)], "label": ["x"] * 60}
    late = " ".join([*(f"a{i}" for i in range(50, 60)), "b0"])
    assert read(columns, late).image == "id"


@pytest.mark.parametrize(
    ("columns", "files", "message"),
    [
        ({"one": "a b", "two": "b a", "label": "x y"}, "a b", r"t\.csv:1: .*'one', 'two' hold images"),
        ({"shot": "a b c", "label": "x y z"}, "a", "header with a column of image names"),  # under half
        ({"shot": "a.jpg b", "label": "x y"}, None, "header with a column of image names"),  # half end so
        ({"imgae": "a b", "label": "x y"}, None, r"found: imgae, label in 2 rows\. Did you mean 'image'"),
        ({"u": "a", "v": "b"}, None, r"found: u, v in 1 rows\. Name it with reader\.image_column"),
        ({"mask": "a.png", "label": "x"}, "a.png", "header with a column of image names"),
        ({}, None, "found: none in 0 rows"),
    ],
)
def test_images_that_cannot_be_told_are_asked_for(
    columns: dict[str, Any], files: str | None, message: str
) -> None:
    found, problems = chosen(columns, files)
    assert found is None
    with pytest.raises(BrokenSetError, match=message):
        problems.raise_fatal("set")


def test_a_column_that_is_missing_is_named_once() -> None:
    found, problems = chosen({"image": "a", "label": "x"}, image_column="imag")
    assert found is None
    with pytest.raises(BrokenSetError, match=r"1 problem .*\n.*'imag' \(reader\.image_column\)\. .*'image'"):
        problems.raise_fatal("set")


def test_a_table_without_readable_rows_has_faults_enough() -> None:
    problems = Problems()
    table = Rows(Path("t.jsonl"), (), (), ("t.jsonl:1: is not JSON",))
    settings = TableSettings()
    assert choose_columns(table, settings, known=frozenset(), hits=None, problems=problems) is None
    assert not problems.has_fatal


NOTED = "image names are from the column {!r}, labels from {}"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"mask": "a.png _", "subset": "train val"}, {"mask": "mask", "split": "subset"}),
        ({"mask": ["a.png", None]}, {"mask": "mask"}),
        ({"mask": "1 2"}, {}),  # numbers, or run lengths, are no files
        ({"mask": [1, 2]}, {}),
        ({"mask": "1 2", "mask_path": "a.png b.png"}, {"mask": "mask_path"}),
        ({"x_min": "3 4"}, {"of_objects": True}),
        ({"x": "3 4", "y": "3 4", "width": "3 4", "height": "3 4"}, {"of_objects": True}),
        ({"x": "3 4", "width": "3 4", "height": "3 4"}, {}),
        ({"confidence": "0.9 1"}, {"score": "confidence", "of_objects": True}),
        ({"present": "yes no"}, {"score": "present", "of_objects": True}),
        ({"confidence": "90 70"}, {}),
        ({"score": "high 1", "prob": "0.5 0"}, {"score": "prob", "of_objects": True}),
        ({"EncodedPixels": ["1 3", ""]}, {"outline": "EncodedPixels", "of_objects": True}),
        ({"answer": "accept _"}, {}),
        ({"answer": "ignore maybe"}, {}),
    ],
)
def test_what_stands_beside_labels(others: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read({"image": "a b", "label": "x y", **others}) == Columns("image", labels=("label",), **expected)


def test_scores_and_outlines_count_beside_labels_alone() -> None:
    found, _ = chosen({"image": "a b", "cat": "1 0", "dog": "0 1", "confidence": "0.9 0.2", "rle": "1 2"})
    assert found == Columns("image", flags=("cat", "dog"))


@pytest.mark.parametrize(
    ("columns", "options", "note"),
    [
        ({"image": "a b", "label": "x y"}, {}, ()),
        ({"File Name": "a b", "Classes": "x y"}, {}, ()),
        ({"Image": "a b", "dx": "x y"}, {}, (NOTED.format("Image", "'dx'"),)),
        ({"id": "a b", "label": "x y"}, {}, (NOTED.format("id", "'label'"),)),
        ({"id": "a b", "cat": "1 0"}, {}, ("image names are from the column 'id'",)),
        ({"id": "a b", "dx": "x y"}, {"image_column": "id"}, (NOTED.format("id", "'dx'"),)),
        ({"id": "a b", "dx": "x y"}, {"image_column": "id", "label_columns": ["dx"]}, ()),
    ],
)
def test_columns_with_unusual_names_are_mentioned(
    columns: dict[str, str], options: dict[str, Any], note: tuple[str, ...]
) -> None:
    assert {"image", "filename", "classes"} <= SURE_NAMES
    assert read(columns, **options).notes == note


def test_the_note_on_names_comes_before_others() -> None:
    notes = read({"id": "a b", "label": "cat dog", "cat": "1 0", "dog": "0 1"}).notes
    assert [note.split(" ")[0] for note in notes] == ["image", "the"]


@pytest.mark.parametrize("cells", ["1 0", "yes no"])
def test_flags_of_splits_are_not_read(cells: str) -> None:
    found, problems = chosen({"image": "a b", "label": "x y", "is_train": cells})
    assert found == Columns("image", labels=("label",))
    told = [each.message for each in problems.warnings]
    assert told[0] == "t.csv:1: the column 'is_train' is not read; write splits in a column 'split'."
    assert read({"image": "a b", "label": "x y", "test": "4 7"}) == found


@pytest.mark.parametrize(
    ("cells", "what"),
    [("accept Reject", "reject"), ("ignore _", "ignore"), ("reject ignore", "ignore or reject")],
)
def test_answers_that_are_no_labels_are_refused(cells: str, what: str) -> None:
    found, problems = chosen({"image": "a b", "label": "x y", "answer": cells})
    assert found is None
    with pytest.raises(BrokenSetError, match=rf"rows whose 'answer' is {what} \(Prodigy\) are no labels"):
        problems.raise_fatal("set")


def test_labels_that_cannot_be_told_are_asked_for() -> None:
    found, problems = chosen({"image": "a b", "note": "x y"})
    assert found is None
    with pytest.raises(BrokenSetError, match="expected a column labels"):
        problems.raise_fatal("set")


def test_a_table_without_header_is_read_by_position() -> None:
    columns = dict(zip(numbered(3), ("a.jpg b.jpg", "train val", "x y"), strict=True))
    problems = Problems()
    table = table_of(columns, has_header=False)
    found = choose_columns(table, TableSettings(), known=frozenset(), hits=None, problems=problems)
    assert found is not None
    assert (found.image, found.split, found.labels) == ("column 1", "column 2", ("column 3",))


def test_a_known_class_is_a_column_of_labels_whatever_it_is_called() -> None:
    problems = Problems()
    table = table_of({"image": "a b", "fold": "1 0", "label": "0 1"})
    known = frozenset({"fold", "label"})
    found = choose_columns(table, TableSettings(), known=known, hits=None, problems=problems)
    assert found == Columns("image", flags=("fold", "label"))
    assert not problems.has_fatal
