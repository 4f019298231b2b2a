"""Excel and Parquet files as tables."""

from __future__ import annotations

import datetime
import sys
import zipfile

import pytest

from swtformer.datasets.rows import Row
from swtformer.datasets.tables.row_files import read_rows
from swtformer.errors import DataError


@pytest.fixture
def workbook(tmp_path):
    """Writes an Excel workbook of sheets."""
    openpyxl = pytest.importorskip("openpyxl")

    def write(**sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, lines in sheets.items():
            sheet = book.create_sheet(name)
            for line in lines:
                sheet.append(line)
        book.save(tmp_path / "labels.xlsx")
        return tmp_path / "labels.xlsx"

    return write


def test_cells_of_a_sheet(workbook):
    date = datetime.date(2024, 5, 6)
    file = workbook(
        s=[[" image ", "labels", None, "n"], ["a.jpg", " cat ", None, 1.0], [], ["b.jpg", None, None, date]]
    )
    table = read_rows(file)
    assert table.columns == ("image", "labels", "n")
    assert table.rows == (
        Row(2, {"image": "a.jpg", "labels": "cat", "n": 1}),
        Row(4, {"image": "b.jpg", "labels": None, "n": "2024-05-06T00:00:00"}),
    )


def test_the_first_sheet_with_cells_is_read_and_others_are_told(workbook):
    table = read_rows(workbook(empty=[], one=[["image"], ["a"]], two=[["x"], [1]]))
    assert (table.columns, table.notes) == (("image",), ("the sheet 'one' is read, the first of 2",))


def test_titles_and_a_missing_header(workbook):
    table = read_rows(workbook(s=[["Labels of 2024"], [], ["image", "label"], ["a.jpg", "cat"]]))
    assert (table.columns, table.rows[0].line, table.notes) == (
        ("image", "label"),
        4,
        ("the header is in line 3",),
    )
    table = read_rows(workbook(s=[["a.jpg", "cat"]]))
    assert (table.has_header, table.rows) == (False, (Row(1, {"column 1": "a.jpg", "column 2": "cat"}),))


def test_an_empty_workbook_and_a_doubled_column(workbook):
    assert read_rows(workbook(s=[])).rows == ()
    with pytest.raises(DataError, match="the column 'x' appears twice"):
        read_rows(workbook(s=[["x", "x"], [1, 2]]))


def test_cells_of_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    lines = [
        {"image": {"bytes": b"x", "path": "a.jpg"}, "labels": ["cat", " dog"], "cat": 1.0},
        {"image": {"bytes": b"x", "path": "b.jpg"}, "labels": [], "cat": float("nan")},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(lines), tmp_path / "l.parquet")
    table = read_rows(tmp_path / "l.parquet")
    assert table.rows == (
        Row(1, {"image": {"bytes": None, "path": "a.jpg"}, "labels": ["cat", "dog"], "cat": 1}),
        Row(2, {"image": {"bytes": None, "path": "b.jpg"}, "labels": [], "cat": None}),
    )


@pytest.mark.parametrize(
    ("name", "what"), [("l.xlsx", "is not an Excel workbook"), ("l.parquet", "is not a Parquet file")]
)
def test_damaged_files(tmp_path, name, what):
    pytest.importorskip("openpyxl")
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(b"PAR1PK\x03\x04xxPAR1")
    with pytest.raises(DataError, match=what):
        read_rows(tmp_path / name)


def test_a_workbook_that_unpacks_to_much_is_not_opened(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "l.xlsx", "w") as archive:
        archive.writestr("x", "x" * 100)
    monkeypatch.setattr("swtformer.datasets.tables.spreadsheets.LARGEST_BYTES", 99)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_rows(tmp_path / "l.xlsx")


def test_a_workbook_that_was_packed_to_fill_the_memory_is_not_opened(tmp_path):
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "l.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(2**24 + 1))
    with pytest.raises(DataError, match="more than 100 times its packed size"):
        read_rows(tmp_path / "l.xlsx")


def test_a_parquet_file_of_more_rows_than_its_size_can_mean_is_not_read(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(
        {"image": pyarrow.repeat("a.jpg", 1_000_001), "label": pyarrow.repeat(1, 1_000_001)}
    )
    parquet.write_table(table, tmp_path / "l.parquet")
    with pytest.raises(DataError, match="holds 1,000,001 rows, too many for its size"):
        read_rows(tmp_path / "l.parquet")


def test_pictures_inside_a_file_are_refused(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    lines = [{"image": {"bytes": b"x", "path": None}, "label": 1}]
    parquet.write_table(pyarrow.Table.from_pylist(lines), tmp_path / "l.parquet")
    with pytest.raises(DataError, match="'image' holds the pictures themselves"):
        read_rows(tmp_path / "l.parquet")


@pytest.mark.parametrize(("name", "package"), [("l.xlsx", "openpyxl"), ("l.parquet", "pyarrow")])
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, name, package):
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.parquet", None)
    with pytest.raises(DataError, match=rf"needs {package}: pip install 'swtformer\[tables\]'"):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("name", ["l.xls", "l.ods"])
def test_old_formats_are_refused_by_name(tmp_path, name):
    with pytest.raises(DataError, match=r"save it as \.xlsx, \.parquet or CSV"):
        read_rows(tmp_path / name)
