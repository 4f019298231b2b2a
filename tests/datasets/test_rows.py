from __future__ import annotations

import json
from pathlib import Path

import pytest

from swtformer.datasets.rows import (
    is_whole_number,
    parse_json,
    read_lines,
    read_start,
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
    def test_utf_16_is_read_by_its_mark(self, tmp_path, order):
        mark = b"" if order == "utf-16" else b"\xfe\xff"
        file = write(tmp_path, mark + "Gänse\n".encode(order))
        assert read_text(file) == read_start(file) == "Gänse\n"
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(DataError, match="begins as UTF-16 text but is damaged"):
            read_text(file)

    def test_the_start_of_a_file_is_whole_lines(self, tmp_path):
        file = write(tmp_path, "ab\ncd\nef\n")
        assert read_start(file, 8) == "ab\ncd\n"
        assert read_start(file, 100) == "ab\ncd\nef\n"
        assert read_start(tmp_path / "gone") == ""

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf16_without_a_mark_is_refused(self, tmp_path, encoding):
        file = tmp_path / "labels.csv"
        file.write_bytes("image,labels\na.jpg,cat\n".encode(encoding))
        with pytest.raises(DataError, match="looks like UTF-16 without a byte-order mark; save it as UTF-8"):
            read_text(file)

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_other_encodings_are_refused_with_their_line(self, tmp_path, mark, end):
        content = mark + b"a" + end + end + "ü".encode("latin-1") + end
        with pytest.raises(
            DataError, match=r"csv:3: is not UTF-8 text; .*If 'ü' is right, it is Windows-1252"
        ):
            read_text(write(tmp_path, content))

    @pytest.mark.parametrize("name", ["l.npy", "l.NPZ", "l.pkl", "l.pickle", "l.pt", "l.pth", "l.joblib"])
    def test_pickles_are_refused_by_name_alone(self, name):  # fault 25
        for reader in (refuse_pickle, read_text):
            with pytest.raises(DataError, match=r"may hold pickles .*columns image,labels"):
                reader(Path("nowhere") / name)
        refuse_pickle(Path("labels.npy.csv"))


class TestJson:
    @pytest.mark.parametrize(
        "text", [f'["{"9" * 300}", 5]', '"\\ud83d\\ude00"', '"\\\\ud83d"', '{"a": [1, null, "é"]}']
    )
    def test_values_are_those_of_json(self, text):
        assert parse_json(text) == json.loads(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "Expecting property name"),
            ("[" * 100_000, "nested too deeply"),
            ('"\\ud83d"', "lone escape .* is not a character"),
            ('{"\\uDE00": 1}', "lone escape .* is not a character"),
            ("9" * 5000, "300 digits or more"),
            ("[1, -" + "9" * 300 + "]", "300 digits or more"),
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


@pytest.mark.parametrize(
    ("text", "is_one"), [("0", True), ("9" * 299, True), ("9" * 300, False), ("-1", False), ("", False)]
)
def test_whole_numbers(text, is_one):
    assert is_whole_number(text) is is_one
