"""Tables whose first column holds image and class in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swtformer.datasets.rows import Row, Rows
from swtformer.datasets.tables.joined_names import with_own_columns

IMAGES = ("a.jpg", "b_c.jpg")
PAIRS = [(image, name) for image in IMAGES for name in ("Fish", "Sugar")]


def table(names: Sequence[str], columns: tuple[str, ...] = ("Image_Label", "EncodedPixels")) -> Rows:
    rows = tuple(Row(line, {columns[0]: name, columns[1]: "1 2"}) for line, name in enumerate(names, start=2))
    return Rows(Path("train.csv"), columns, rows, ())


def hits(names: Sequence[str]) -> int:
    return sum(name in IMAGES for name in names)


def test_every_image_with_every_class() -> None:
    made = with_own_columns(table([f"{image}_{name}" for image, name in PAIRS]), hits)
    assert made.columns == ("image", "class", "EncodedPixels")
    assert [(row.cells["image"], row.cells["class"]) for row in made.rows] == PAIRS
    assert [row.line for row in made.rows] == [2, 3, 4, 5]
    assert made.notes == ("'Image_Label' holds images and classes: 'a.jpg_Fish' is 'Fish' of 'a.jpg'",)


def test_a_label_beside_the_pair_says_whether_it_is_there() -> None:
    made = with_own_columns(table([f"{image}_{name}" for image, name in PAIRS], ("ID", "Label")), hits)
    assert made.columns == ("image", "class", "present")


def test_other_tables_stay_as_they_are() -> None:
    lacking = table([f"{image}_{name}" for image, name in PAIRS[:3]])
    assert with_own_columns(lacking, hits) is lacking
    own = table(list(IMAGES))
    assert with_own_columns(own, hits) is own
    whole = table([f"{image}_{name}" for image, name in PAIRS])
    assert with_own_columns(whole, None) is whole
    assert with_own_columns(whole, lambda names: 0) is whole
