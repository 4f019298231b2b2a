"""Delimiters, headers and lists of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.rows import Row
from swtformer.datasets.tables.delimited import is_label_list, read_csv, read_list

FILE = Path("l.csv")


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,cat;dog\n",
        "a.jpg;cat,dog\n",
        "a.jpg\tcat,dog;cow\n",
        "images/a b.JPG|cat\n",
        "C:\\me\\a.jpg;cat,dog\n",
        '"a, b.jpg",cat\n',
    ],
)
def test_a_first_line_with_an_image_is_no_header(text):
    table = read_csv(FILE, text)
    assert (table.has_header, table.columns) == (False, ("column 1", "column 2"))


def test_without_header_rows_may_be_short():
    table = read_csv(FILE, "a.jpg,cat,dog\nb.jpg\n")
    assert table.rows[1] == Row(2, {"column 1": "b.jpg", "column 2": "", "column 3": ""})


@pytest.mark.parametrize("header", ["image,jpg", "image;a", "image|label", "#image,label", "image,label,,"])
def test_other_first_lines_are_headers(header):
    table = read_csv(FILE, f"{header}\n")
    assert table.has_header
    assert table.columns[0] == "image"
    assert len(table.columns) == 2


def test_columns_without_name_and_empty_cells_beyond_the_header_are_left_out():
    table = read_csv(FILE, ",image,label\n0,a,cat,,\n1,b,dog\n")
    assert table.columns == ("image", "label")
    assert [dict(row.cells) for row in table.rows] == [
        {"image": "a", "label": "cat"},
        {"image": "b", "label": "dog"},
    ]


def test_excel_s_own_first_line_names_the_delimiter_and_lines_keep_their_numbers():
    table = read_csv(FILE, "sep=;\nimage;label\na;cat\n")
    assert table.rows == (Row(3, {"image": "a", "label": "cat"}),)


def test_comments_above_the_header_are_passed_over():
    table = read_csv(FILE, "# made by hand\n#\n#image,label\na,cat\n")
    assert table.rows == (Row(4, {"image": "a", "label": "cat"}),)


def test_many_rows_of_another_width_are_one_fault():
    (fault,) = read_csv(FILE, "image,label\n" + "a\n" * 4).faults
    assert fault.startswith("l.csv: 4 rows have another number of cells")
    assert len(read_csv(FILE, "image,label\n" + "a\n" * 3).faults) == 3


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("a.jpg cat dog", ["cat", "dog"]),
        ("a.jpg\tcat", ["cat"]),
        ("a.jpg, hot dog, cat", ["hot dog", "cat"]),
        ("a.jpg: 0 3", [0, 3]),
        ("a.jpg 0 x", ["0", "x"]),
        ("a.jpg", []),
    ],
)
def test_lines_of_a_list(line, labels):
    (row,) = read_list(FILE, f"\n {line} \n").rows
    assert row == Row(2, {"column 1": "a.jpg", "column 2": labels})


def test_an_image_name_may_hold_blanks_and_dots():
    (row,) = read_list(FILE, "my photos/x.jpg.v2 1.png cat").rows
    assert row.cells["column 1"] == "my photos/x.jpg.v2 1.png"


def test_lines_without_an_image_are_faults():
    faults = read_list(FILE, "a.jpg cat\nnothing\n").faults
    assert faults == ("l.csv:2: expected an image name and labels, got 'nothing'.",)
    (fault,) = read_list(FILE, "nothing\n" * 5).faults
    assert fault.endswith("4 more lines are like it.")


@pytest.mark.parametrize(
    ("text", "is_list"),
    [
        ("a.jpg cat\nb.jpg\n", True),
        ("a.jpg\nb.jpg\n", False),
        ("cat\ndog\n", False),
        ("0 0.5 0.5 0.2 0.2\n", False),
        ("", False),
    ],
)
def test_lists_with_labels_are_told_from_other_texts(text, is_list):
    assert is_label_list(text) == is_list
