"""Rows of objects become rows of images."""

from __future__ import annotations

from swtformer.datasets.labels import LabelRow
from swtformer.datasets.problems import Problems
from swtformer.datasets.tables.label_columns import Columns
from swtformer.datasets.tables.object_rows import merge_objects

COLUMNS = Columns("image", ("label",))
BOXES = Columns("image", ("label",), of_objects=True)


def row(name: str, *labels: str, split: str | None = None) -> LabelRow:
    return LabelRow("labels.csv:2", name, labels, None, split)


def merged(
    rows: list[LabelRow], columns: Columns = COLUMNS, what: str = "auto"
) -> tuple[list[LabelRow], list[str]]:
    notes: list[str] = []
    problems = Problems()
    made = merge_objects(rows, columns, what, notes=notes, problems=problems)  # type: ignore[arg-type]
    assert not problems.has_fatal
    return made, notes


def test_columns_of_boxes_tell_that_rows_are_objects() -> None:
    made, notes = merged([row("a.jpg", "cat"), row("./a.jpg", "dog"), row("b.jpg", "cat")], BOXES)
    assert [(one.name, one.labels) for one in made] == [("a.jpg", ("cat", "dog")), ("b.jpg", ("cat",))]
    assert notes == ["3 rows are objects of 2 images, whose labels are merged"]


def test_several_images_with_different_labels_do_too() -> None:
    rows = [row("a.jpg", "cat"), row("a.jpg", "dog"), row("b.jpg", "cat"), row("b.jpg", "cow")]
    assert [one.labels for one in merged(rows)[0]] == [("cat", "dog"), ("cat", "cow")]
    assert merged(rows, what="image")[0] == rows
    once = [*rows[:2], row("b.jpg", "cow")]
    assert merged(once)[0] == once  # one contradiction is a mistake, and is told elsewhere
    assert len(merged(once, what="object")[0]) == 2
    several = [row("a.jpg", "cat", "dog"), *rows]
    assert merged(several)[0] == several


def test_an_image_in_two_splits_is_a_problem() -> None:
    problems = Problems()
    rows = [row("a.jpg", "cat", split="train"), row("a.jpg", "dog", split="val")]
    merge_objects(rows, BOXES, "auto", notes=[], problems=problems)
    assert problems.has_fatal
