"""Tables as rows, by their extension."""

from __future__ import annotations

import pytest

from swtformer.datasets.rows import Row
from swtformer.datasets.tables.row_files import read_rows
from swtformer.errors import DataError


def write(folder, content, name="labels.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


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
            f"{file}: 1 more line cannot be read.",
        ]
        assert len(table.faults) == len(starts)
        assert all(fault.startswith(start) for fault, start in zip(table.faults, starts, strict=True))
