"""Shapes of JSON files with labels."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.json_records import Keys, NotLabelsError
from swtformer.datasets.annotations.json_shapes import read_shape
from swtformer.datasets.paths import is_image_name


def items(value):
    shape = read_shape(value, "x.json", is_image_name, Keys())
    return [(item.name, item.value) for item in shape.items], shape


TWO = [("a.jpg", "cat"), ("b.jpg", "dog")]
RECORDS = [{"image": name, "label": label} for name, label in TWO]

SHAPES = {
    "labels by image": dict(TWO),
    "'label' of records with 'image'": RECORDS,
    "pairs of image and labels": [list(pair) for pair in TWO],
    "records by number": {"0": RECORDS[0], "1": RECORDS[1]},
    "pandas: split": {"columns": ["image", "label"], "index": [0, 1], "data": [list(pair) for pair in TWO]},
    "pandas: list": {"image": ["a.jpg", "b.jpg"], "label": ["cat", "dog"]},
    "pandas: columns": {"image": {"0": "a.jpg", "1": "b.jpg"}, "label": {"0": "cat", "1": "dog"}},
    "one part of an object": {"version": 2, "classes": ["cat", "dog"], "data": RECORDS},
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_says_the_same(name):
    assert items(SHAPES[name])[0] == TWO


def test_images_by_class():
    found, shape = items({"cat": ["a.jpg", "b.jpg"], "dog": ["b.jpg"]})
    assert found == [("a.jpg", ["cat"]), ("b.jpg", ["cat", "dog"])]
    assert shape.items[1].source == "x.json: cat: 'b.jpg'"


def test_an_index_of_images():
    value = {"columns": ["cat", "dog"], "index": ["a.jpg", "b.jpg"], "data": [[1, 0], [0, 1]]}
    expected = [("a.jpg", {"cat": 1, "dog": 0}), ("b.jpg", {"cat": 0, "dog": 1})]
    assert items(value)[0] == expected
    assert items({"cat": {"a.jpg": 1, "b.jpg": 0}, "dog": {"a.jpg": 0, "b.jpg": 1}})[0] == expected


def test_splits_are_noted():
    _, shape = items({"train": RECORDS[:1], "val": RECORDS[1:], "test": []})
    assert [item.split for item in shape.items] == ["train", "val"]
    assert items([{**RECORDS[0], "split": "dev"}])[1].items[0].split == "dev"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("classes", ["cat", "dog"]),
        ("id2label", {"0": "cat", "1": "dog"}),
        ("label_names", {"cat": 0, "dog": 1}),
    ],
)
def test_names_of_numbers(key, names):
    assert items({key: names, "data": RECORDS})[1].classes == {0: "cat", 1: "dog"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "names no images with labels"),
        ("a.jpg", "names no images with labels"),
        ([1, 2], "names no images with labels"),
        ({"train": ["a.jpg"], "val": ["b.jpg"]}, "names no images"),
        ([{"photo": 1, "label": "cat"}], "no key of its records holds the images"),
        ([{"image": "a.jpg", "width": 5}], "no labels, only 'width'"),
        ({"one": RECORDS, "two": RECORDS}, "names no images"),
    ],
)
def test_other_values_are_refused_with_a_reason(value, message):
    with pytest.raises(NotLabelsError, match=message):
        items(value)
