"""Which keys of records hold images and labels."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.json_records import (
    Keys,
    NotLabelsError,
    image_key,
    label_keys,
    most,
    usual_key,
    value_of,
)
from swtformer.datasets.paths import is_image_name

ANY = Keys()


def test_most_is_more_than_half():
    assert most(["a.jpg", "b.jpg", "c"], is_image_name)
    assert not most(["a.jpg", "b"], is_image_name)
    assert not most([1, None], is_image_name)


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"what": "a.jpg", "label": "cat"}, "what"),
        ({"thumb": "t.jpg", "file_name": "a.jpg"}, "file_name"),
        ({"image": 7, "label": "cat"}, None),
    ],
)
def test_the_key_of_images(record, key):
    assert image_key([record], is_image_name, ANY) == key


def test_the_key_of_images_is_asked_for():
    record = {"left": "a.jpg", "right": "b.jpg"}
    with pytest.raises(NotLabelsError, match="'left', 'right' of its records hold images; name one with"):
        image_key([record], is_image_name, ANY)
    assert image_key([record], is_image_name, Keys(image="right")) == "right"
    assert image_key([record], is_image_name, Keys(image="middle")) is None


@pytest.mark.parametrize(
    ("records", "keys"),
    [
        ([{"image": "a", "labels": ["cat"], "width": 1}], ["labels"]),
        ([{"image": "a", "cat": 1, "dog": 0, "width": 1}, {"image": "b", "emu": 1}], ["cat", "dog", "emu"]),
        ([{"image": "a", "defect": 1}], ["defect"]),
        ([{"image": "a", "defect": "crack"}], ["defect"]),
    ],
)
def test_the_keys_of_labels(records, keys):
    assert label_keys(records, "image", ANY) == keys


@pytest.mark.parametrize(
    ("record", "keys", "message"),
    [
        ({"image": "a", "labels": "x", "cat": 1, "dog": 0}, ANY, "have 'labels', and 0 or 1 in 'cat', 'dog'"),
        ({"image": "a", "width": 5}, ANY, "have no labels, only 'width'"),
        ({"image": "a", "cat": 1}, Keys(labels=("dog",)), "have no key 'dog', only 'cat'"),
    ],
)
def test_the_keys_of_labels_are_asked_for(record, keys, message):
    with pytest.raises(NotLabelsError, match=message):
        label_keys([record], "image", keys)


def test_a_usual_key_of_flags_is_a_class_by_its_own_name():
    assert usual_key(["defect"], [{"defect": 1}, {"defect": 0}]) is None
    assert usual_key(["defect"], [{"defect": "crack"}]) == "defect"
    assert usual_key(["label"], [{"label": 1}]) == "label", "a sure name holds the number of a class"


@pytest.mark.parametrize(
    ("record", "keys", "value"),
    [
        ({"labels": ["cat"]}, ["labels"], ["cat"]),
        ({"labels": None}, ["labels"], None),
        ({"cat": 1, "dog": 0}, ["cat", "dog"], {"cat": 1, "dog": 0}),
        ({"cat": None}, ["cat"], None),
        ({"label1": "cat", "label2": ""}, ["label1", "label2"], ["cat"]),
        ({"label1": "cat", "label2": None}, ["label1", "label2"], "cat"),
    ],
)
def test_what_the_keys_say(record, keys, value):
    assert value_of(record, keys) == value
