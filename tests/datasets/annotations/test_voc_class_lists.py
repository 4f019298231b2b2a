"""PASCAL VOC's lists of one class."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.voc_class_lists import class_and_split, is_class_list, read_class_lists
from swtformer.datasets.problems import Problems


@pytest.mark.parametrize(
    ("name", "text", "is_list"),
    [
        ("cat_train", "2008_000002 -1\n", True),
        ("cat_train", "a  1\n", True),
        ("cat", "a 1\n", False),
        ("my_list", "a\n", False),
        ("my_list", "JPEGImages/a.jpg SegmentationClass/a.png\n", False),
        ("my_list", "a 2\n", False),
        ("my_list", "", False),
    ],
)
def test_recognised_by_the_first_line(tmp_path, name, text, is_list):
    file = tmp_path / f"{name}.txt"
    file.write_text(text)
    assert is_class_list(file) == is_list


def test_class_and_split_are_in_the_name(tmp_path):
    assert class_and_split(tmp_path / "traffic_light_trainval.txt") == ("traffic_light", "trainval")


def test_splits_keep_the_order_of_the_lists(tmp_path):
    files = []
    for name, text in {
        "dog_val": "c 1\na -1\n",
        "cat_val": "c -1\na 1\n",
        "dog_train": "b 0\n",
        "cat_train": "b 1\n",
    }.items():
        files.append(tmp_path / f"{name}.txt")
        files[-1].write_text(text)
    problems = Problems()
    lists = read_class_lists(files, None, problems)
    problems.raise_fatal("set")
    assert lists.classes == ("cat", "dog")
    assert lists.labels == {"a": ("cat",), "b": ("cat", "dog"), "c": ("dog",)}
    assert {split: [id for id, _ in lines] for split, lines in lists.splits.items()} == {
        "val": ["c", "a"],
        "train": ["b"],
    }
    assert lists.splits["val"][0][1] == f"{tmp_path / 'cat_val.txt'}:1"
    chosen = read_class_lists(files, ["dog"], problems)
    assert (chosen.classes, chosen.labels["b"]) == (("dog",), ("dog",))
