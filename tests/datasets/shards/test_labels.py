from __future__ import annotations

import pytest

from swtformer.datasets.shards.labels import of_text, present_in

CLASSES = ("cat", "traffic light", "cow")


@pytest.mark.parametrize(
    ("labels", "present"),
    [
        (None, None),
        ({"width": 3}, None),
        ({"labels": None, "class": "cow"}, (2,)),
        ({"labels": ["cow", "cat"]}, (0, 2)),
        ({"label": 1}, (1,)),
        ([], ()),
        ("traffic light", (1,)),
        (2, (2,)),
        ([2, 0], (0, 2)),
        (" cat ", (0,)),
    ],
)
def test_names_and_numbers(labels: object, present: tuple[int, ...] | None) -> None:
    assert present_in(labels, CLASSES) == present


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ("cats", r"unknown class 'cats'\. Did you mean 'cat'"),
        (3, "class number 3; the model has the classes 0 to 2"),
        (-1, "class number -1"),
        ([0, 0, 1], "not one value per class"),
        (0.5, r"names or numbers of classes, got 0\.5"),
        (True, "got True"),
        ([["cat"]], "got \\['cat'\\]"),
    ],
)
def test_what_is_no_label_is_refused(labels: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        present_in(labels, CLASSES)


def test_texts_are_separated_by_commas_and_lines() -> None:
    assert of_text("2") == [2]
    assert of_text("cat, traffic light\n1\n") == ["cat", "traffic light", 1]
    with pytest.raises(ValueError, match="is empty"):
        of_text(" \n")
