from __future__ import annotations

import json
import os

import pytest

from swtformer.datasets.annotations.json_files import (
    HEAD_BYTES,
    beginning,
    choose_file,
    data_folder,
    find_files,
    json_files,
    looks_like,
    read_json,
)
from swtformer.errors import DataError


def test_a_short_file_is_read_whole(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": [1, "}"]}')
    assert beginning(file) == read_json(file) == {"a": [1, "}"]}


@pytest.mark.parametrize(
    "value",
    [
        {"first": [1, 2], "items": [{"name": f'say "{k}" \\ {{[,', "k": k} for k in range(20_000)]},
        [{"id": 1, "rle": list(range(200_000))}],
        {"name": "x" * HEAD_BYTES},
        {f"猫 {k}": {"a": []} for k in range(30_000)},
    ],
)
def test_the_beginning_of_a_long_file_is_a_prefix_of_its_value(tmp_path, value):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(value, ensure_ascii=False))
    head = beginning(file)
    assert file.stat().st_size > HEAD_BYTES
    assert_begins(value, head)
    if isinstance(value, dict) and "items" in value:
        assert len(head["items"]) > 1000
        assert head["items"][5] == value["items"][5]


def assert_begins(whole, part):
    assert type(whole) is type(part)
    if isinstance(whole, dict):
        assert list(part) == list(whole)[: len(part)]
        for key in part:
            assert_begins(whole[key], part[key])
    elif isinstance(whole, list):
        for one, other in zip(whole, part, strict=False):
            assert_begins(one, other)
    else:
        assert whole == part


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe{\0", b"[" * 300_000, b"]" * 300_000, b"x" * 300_000]
)
def test_what_is_no_json_has_no_beginning(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    assert beginning(file) in (None, [])
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(file)


def test_pipes_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    assert beginning(tmp_path / "pipe.json") is None
    assert beginning(tmp_path / "gone.json") is None
    assert json_files(tmp_path) == []


def test_a_changed_file_is_looked_at_again(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("[1]")
    assert beginning(file) == [1]
    file.write_text("[1, 2]")
    assert beginning(file) == [1, 2]


def test_files_that_may_describe_images(tmp_path):
    for name in ("b.json", "a.json", "classes.json", ".hidden.json", "c.txt"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "folder.json").mkdir()
    assert [file.name for file in json_files(tmp_path)] == ["a.json", "b.json"]
    for index in range(60):
        (tmp_path / f"{index}.json").write_text("{}")
    assert json_files(tmp_path) == [], "one per image"


def test_only_files_of_the_right_name_and_size_are_read(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("{}")
    with pytest.raises(DataError, match=r"a\.txt: is not a JSON file"):
        read_json(tmp_path / "a.txt")
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr("swtformer.datasets.annotations.json_files.MAX_BYTES", 1)
    with pytest.raises(DataError, match="divide it into several files"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "an empty object"),
        ({"a": 1, "b": 2}, "an object with the keys 'a', 'b'"),
        (dict.fromkeys("abcdefg"), "the keys 'a', 'b', 'c', 'd', 'e', …"),
        ([], "an empty list"),
        ([{"x": 1}, 2], "a list of 2 items, the first is an object with the keys 'x'"),
        ([["x"]], "a list of 1 items, the first is ['x']"),
        (3, "the value 3"),
    ],
)
def test_what_a_value_looks_like(value, text):
    assert text in looks_like(value)


def test_the_file_of_a_split(tmp_path):
    one, two, train = (tmp_path / f"{name}.json" for name in ("one", "two", "train"))
    one.write_text("{}")
    assert choose_file(one, None, {}) == (None, one)
    assert (
        choose_file(tmp_path, None, {"one": one}) == choose_file(tmp_path, "one", {"one": one}) == (None, one)
    )
    assert choose_file(tmp_path, None, {"one": one, "train": train}) == ("train", train)
    assert choose_file(tmp_path, "one", {"one": one, "train": train}) == ("one", one)
    for path, files in ((one, {}), (tmp_path, {"one": one}), (tmp_path, {"one": one, "two": two})):
        with pytest.raises(DataError, match="split 'three'"):
            choose_file(path, "three", files)
    with pytest.raises(DataError, match="there are: one, two"):
        choose_file(tmp_path, None, {"one": one, "two": two})
    with pytest.raises(DataError, match="there are: none"):
        choose_file(tmp_path, None, {})


def test_files_in_a_folder_for_labels(tmp_path):
    def is_list(value):
        return isinstance(value, list)

    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.json").write_text("[1]")
    (tmp_path / "labels" / "b.json").write_text("{}")
    (tmp_path / "c.json").write_text("{}")
    inside = tmp_path / "labels" / "a.json"
    assert find_files(tmp_path, is_list) == {"a": inside}
    assert (data_folder(inside), data_folder(tmp_path / "c.json")) == (tmp_path, tmp_path)
    (tmp_path / "c.json").write_text("[2]")
    assert find_files(tmp_path, is_list) == {"c": tmp_path / "c.json"}
    (tmp_path / "labels.csv").write_text("image,labels\n")
    assert find_files(tmp_path, is_list) == {}
