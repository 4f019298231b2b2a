"""Values of JSON files as class names."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.json_values import Item, read_labels
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

NAMES = {0: "cat", 1: "dog", 2: "emu"}


def read(*values, classes=None, declared=None, threshold=None):
    problems = Problems()
    items = [Item(f"{place}.jpg", value, f"x.json[{place}]") for place, value in enumerate(values)]
    found = read_labels(
        items, classes=classes, declared=declared, threshold=threshold, where="x.json", problems=problems
    )
    problems.raise_fatal("set")
    return list(found.of), found.names, " ".join(problem.message for problem in problems.warnings)


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("cat", ("cat",)),
        (" cat ; dog;cat", ("cat", "dog")),
        ("cat|dog", ("cat", "dog")),
        ("cat\uff0cdog", ("cat", "dog")),
        ('["cat", "dog"]', ("cat", "dog")),
        ("['cat', 'dog']", ("cat", "dog")),
        (["cat", ["dog"]], ("cat", "dog")),
        ({"cat": 1, "dog": 0, "cow": True}, ("cat", "cow")),
        ({"category": "cat", "bbox": [1, 2]}, ("cat",)),
        ([{"name": "cat", "score": 0.4}, {"name": "dog", "score": 0.5}], ("dog",)),
        ([], ()),
        ("", ()),
        (None, None),
        (float("nan"), None),
        ("background", ()),
    ],
)
def test_one_value(value, labels):
    assert read(value)[0] == [labels]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, r"x\.json\[0\]: labels must be names, got True"),
        ([None], "labels must be names, got"),
        ("[cat", "is not a list of labels"),
        ({"cat": "big"}, "expected labels, or 0 or 1 for each class"),
        ({"cat": 5}, "5 is no score between 0 and 1; say with reader.threshold"),
    ],
)
def test_values_that_say_nothing(value, message):
    with pytest.raises(DataError, match=message):
        read(value)


def test_numbers_are_those_of_the_class_list():
    labels, names, said = read(2, [0, 2], "1", None, classes=NAMES)
    assert labels == [("emu",), ("cat", "emu"), ("dog",), None]
    assert names == ("cat", "dog", "emu"), "those of no image as well"
    assert "0=cat, 1=dog, 2=emu" in said


def test_lists_may_have_a_number_for_each_class():
    assert read([1, 1, 0], [0, 0, 0], classes=NAMES)[0] == [("cat", "dog"), ()]
    assert read([0.9, 0.2, 0.5], [0, 0.1, 1], classes=NAMES)[0] == [("cat", "emu"), ("emu",)]
    assert read([0.9, 0.2, 0.5], classes=NAMES, threshold=0.6)[0] == [("cat",)]


def test_two_classes_in_doubt():
    two = {0: "cat", 1: "dog"}
    with pytest.raises(DataError, match=r"such as \[0, 1\] may be numbers of classes, or 0 or 1 for each"):
        read([0, 1], [0, 1], classes=two)
    assert read([0, 1], [1, 0], classes=two)[0] == [("dog",), ("cat",)]
    assert read([0, 1], [1], classes=two)[0] == [("cat", "dog"), ("dog",)]


def test_numbers_that_nothing_names():
    with pytest.raises(DataError, match=r"labels of 2 images are numbers \(3\), and nothing says what"):
        read(3, 4)
    with pytest.raises(DataError, match=r"class list does not have: 3, 7; it has 0 to 2"):
        read(3, 7, 1, classes=NAMES)


def test_a_declared_class_may_be_called_like_nothing():
    assert read("normal", "cat")[:2] == ([(), ("cat",)], ("cat",))
    assert read("normal", "cat", declared=("normal", "cat"))[0] == [("normal",), ("cat",)]
