from __future__ import annotations

import json
from pathlib import Path

import pytest

from swtformer.datasets.rows import (
    Row,
    find_column,
    no_column,
    parse_json,
    read_lines,
    read_rows,
    read_text,
    refuse_pickle,
)
from swtformer.errors import DataError


def write(folder, content, name="labels.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


class TestText:
    def test_a_byte_order_mark_is_left_out(self, tmp_path):
        assert read_text(write(tmp_path, b"\xef\xbb\xbfG\xc3\xa4nse\r\n")) == "Gänse\r\n"

    def test_files_that_cannot_be_read(self, tmp_path):
        with pytest.raises(DataError, match=r"labels\.csv: does not exist\."):
            read_text(tmp_path / "labels.csv")
        with pytest.raises(DataError, match=r": cannot be read: Is a directory\."):
            read_text(tmp_path)

    @pytest.mark.parametrize("order", ["utf-16", "utf-16-be"])
    def test_utf_16_is_named(self, tmp_path, order):
        mark = b"" if order == "utf-16" else b"\xfe\xff"
        with pytest.raises(DataError, match=r"is UTF-16 text; save it as UTF-8"):
            read_text(write(tmp_path, mark + "image,labels\n".encode(order)))

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_other_encodings_are_refused_with_their_line(self, tmp_path, mark, end):
        content = mark + b"a" + end + end + "ü".encode("latin-1") + end
        with pytest.raises(DataError, match=r"csv:3: is not UTF-8 text; save it as UTF-8"):
            read_text(write(tmp_path, content))

    @pytest.mark.parametrize("name", ["l.npy", "l.NPZ", "l.pkl", "l.pickle", "l.pt", "l.pth", "l.joblib"])
    def test_pickles_are_refused_by_name_alone(self, name):  # fault 25
        for reader in (refuse_pickle, read_text):
            with pytest.raises(DataError, match=r"may hold pickles .*columns image,labels"):
                reader(Path("nowhere") / name)
        refuse_pickle(Path("labels.npy.csv"))


class TestJson:
    @pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud83d"', '{"a": [1, null, "é"]}'])
    def test_values_are_those_of_json(self, text):
        assert parse_json(text) == json.loads(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "Expecting property name"),
            ("[" * 100_000, "nested too deeply"),
            ('"\\ud83d"', "lone escape .* is not a character"),
            ('{"\\uDE00": 1}', "lone escape .* is not a character"),
            ("9" * 5000, "integer string conversion"),
        ],
    )
    def test_what_is_no_json(self, text, message):
        with pytest.raises(ValueError, match=message):
            parse_json(text)


@pytest.mark.parametrize("text", ["a\n\n  b c \n", "\ufeffa\r\n \r\nb c", "a\r\rb c\r", "a\t\r\n\nb c\n\n"])
def test_lines_of_a_list_keep_their_numbers(tmp_path, text):  # fault 15
    assert list(read_lines(write(tmp_path, text, "list.txt"))) == [(1, "a"), (3, "b c")]


def test_only_line_ends_end_a_line(tmp_path):
    odd = "a\u2028b\x0bc\x0cd\x85e"
    assert list(read_lines(write(tmp_path, f"{odd}\n{odd}", "list.txt"))) == [(1, odd), (2, odd)]


class TestCsv:
    def test_rows_know_the_line_on_which_they_begin(self, tmp_path):
        table = read_rows(write(tmp_path, '\n image , labels\na.jpg,"cat\n\ndog"\n\n , \nb.jpg,\n'))
        assert table.columns == ("image", "labels")
        assert table.rows == (
            Row(3, {"image": "a.jpg", "labels": "cat\n\ndog"}),
            Row(8, {"image": "b.jpg", "labels": ""}),
        )
        assert table.faults == ()

    @pytest.mark.parametrize(
        ("header", "columns"),
        [
            ("image,labels", ("image", "labels")),
            ("image;labels", ("image", "labels")),
            ("image\tlabels", ("image", "labels")),
            ('image;"tench, Tinca tinca";cat', ("image", "tench, Tinca tinca", "cat")),
            ('image,"a;b;c",d', ("image", "a;b;c", "d")),
            ("image", ("image",)),
        ],
    )
    def test_the_delimiter_is_that_of_the_header(self, tmp_path, header, columns):
        assert read_rows(write(tmp_path, f"\n{header}\n")).columns == columns

    def test_quotes_are_undone(self, tmp_path):
        table = read_rows(write(tmp_path, 'image,labels\n"a,b.jpg","say ""cat"""\n'))
        assert table.rows[0].cells == {"image": "a,b.jpg", "labels": 'say "cat"'}

    def test_rows_of_another_width_are_faults_and_the_others_stay(self, tmp_path):
        file = write(tmp_path, "image,labels\na.jpg,cat,dog\nb.jpg,cat\nc.jpg\n")
        table = read_rows(file)
        assert [row.cells["image"] for row in table.rows] == ["b.jpg"]
        assert table.faults == (
            f"{file}:2: has 3 cells by ',', the header has 2. "
            "Quote a cell that holds the delimiter, or separate several labels by |.",
            f"{file}:4: has 1 cells by ',', the header has 2.",
        )

    @pytest.mark.parametrize("row", ['"b.jpg,cat', '"b.jpg"x,cat', f"b.jpg,{'x' * 200_000}"])
    def test_broken_quotes_and_huge_cells_are_faults_of_their_line(self, tmp_path, row):
        file = write(tmp_path, f"image,labels\na.jpg,cat\n{row}\n")
        table = read_rows(file)
        assert len(table.rows) == 1
        (fault,) = table.faults
        assert fault.startswith(f"{file}:3: cannot be read as CSV (")
        assert fault.endswith("); check the quotes.")

    def test_one_huge_line_is_a_fault(self, tmp_path):
        file = write(tmp_path, "x" * 200_000)
        table = read_rows(file)
        assert (table.columns, table.rows) == ((), ())
        assert table.faults == (
            f"{file}:1: cannot be read as CSV (field larger than field limit (131072)); check the quotes.",
        )

    def test_a_column_may_not_be_there_twice(self, tmp_path):
        with pytest.raises(DataError, match=r"csv:1: the column 'a' appears twice"):
            read_rows(write(tmp_path, "image,b, a ,b,a\n"))

    @pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
    def test_nothing_has_no_columns(self, tmp_path, text):
        table = read_rows(write(tmp_path, text))
        assert (table.columns, table.rows, table.faults) == ((), (), ())


class TestJsonLines:
    def test_cells_keep_their_kind_and_columns_their_order(self, tmp_path):
        text = '\ufeff{" image ": " a ", "n": 1}\r\n\r\n{"labels": [" x "], "image": null}'
        table = read_rows(write(tmp_path, text, "labels.jsonl"))
        assert table.columns == ("image", "n", "labels")
        assert table.rows == (
            Row(1, {"image": "a", "n": 1}),
            Row(3, {"labels": [" x "], "image": None}),
        )

    def test_a_line_separator_inside_text_ends_no_row(self, tmp_path):
        file = write(tmp_path, '{"image": "a\u2028b"}\n', "labels.ndjson")
        assert read_rows(file).rows == (Row(1, {"image": "a\u2028b"}),)

    def test_lines_that_are_no_objects_are_faults_and_the_others_stay(self, tmp_path):
        lines = ['["a.jpg"]', '{"image": ', '{"image": "b.jpg"}', "7", '{"image": "\\ud800"}']
        file = write(tmp_path, "\n".join(lines), "labels.JSONL")
        table = read_rows(file)
        assert table.rows == (Row(3, {"image": "b.jpg"}),)
        assert table.columns == ("image",)
        starts = [
            f"{file}:1: expected a JSON object such as {{\"image\": …}}, got ['a.jpg'].",
            f"{file}:2: is not JSON (",
            f'{file}:4: expected a JSON object such as {{"image": …}}, got 7.',
            f"{file}:5: is not JSON (a lone escape",
        ]
        assert len(table.faults) == len(starts)
        assert all(fault.startswith(start) for fault, start in zip(table.faults, starts, strict=True))


def test_find_column_follows_the_order_of_the_names():
    columns = ("Path", "IMAGE", "image", "labels")
    assert find_column(columns, ("image", "path")) == "IMAGE", "the first of those that differ in case"
    assert find_column(columns, ("path", "image")) == "Path"
    assert find_column(columns, ("mask",)) is None
    assert find_column((), ("mask",)) is None


def test_no_column_names_what_is_there_and_what_may_be_meant():
    file = Path("labels.csv")
    assert no_column(file, ("x", "Imgae"), ("image", "path")) == (
        "labels.csv:1: expected a header with a column image or path; found: x, Imgae. Did you mean 'image'?"
    )
    assert no_column(file, (), ("image",)) == (
        "labels.csv:1: expected a header with a column image; found: none."
    )
