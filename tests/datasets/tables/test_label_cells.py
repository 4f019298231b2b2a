"""What cells say, in every way that people and programs write lists."""

from __future__ import annotations

import pytest

from swtformer.datasets.tables.label_cells import Cell, read_cell


@pytest.mark.parametrize("value", [None, "", "  ", [], "[]", {}, "{}"])
def test_empty_cells(value):
    assert read_cell(value) == Cell()


@pytest.mark.parametrize("text", ["cat", " cat;dog ", "traffic light", "1001", "a [b]"])
def test_text_waits_for_its_separator(text):
    assert read_cell(text) == Cell(text=text.strip())


@pytest.mark.parametrize(
    "value",
    [
        ["cat", " dog ", ""],
        '["cat", "dog"]',
        "['cat', 'dog']",
        "['cat' 'dog']",
        "['cat'\n 'dog']",
        "array(['cat', 'dog'], dtype=object)",
        "('cat', 'dog')",
        "{'cat', 'dog'}",
        "{cat,dog}",
        [["cat"], ["dog"]],
        [{"name": "cat"}, {"label": "dog"}],
        [{"category": "cat", "bbox": [1, 2, 3, 4]}, {"class": "dog"}],
        {"bbox": [[1, 2, 3, 4]], "categories": ["cat", "dog"]},
        {"choices": ["cat", "dog"]},
    ],
)
def test_lists_of_names(value):
    assert read_cell(value) == Cell(names=("cat", "dog"))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (3, Cell(names=(3,))),
        (3.0, Cell(names=(3,))),
        ([0, 2], Cell(numbers=(0, 2))),
        ("[0 1 1]", Cell(numbers=(0, 1, 1))),
        ("[ 0  1\n 1 ]", Cell(numbers=(0, 1, 1))),
        ("[0. 1.]", Cell(numbers=(0.0, 1.0))),
        ([True, False], Cell(numbers=(1.0, 0.0))),
        ([0.9, 0.1], Cell(numbers=(0.9, 0.1))),
        ([[0], [2]], Cell(names=(0, 2))),
        ({"categories": [0, 2]}, Cell(numbers=(0, 2))),
        ([{"category_id": 4}], Cell(names=(4,))),
        ({"cat": 1, "dog": 0}, Cell(scores=(("cat", 1.0), ("dog", 0.0)))),
        ("{'cat': True, 'dog': False}", Cell(scores=(("cat", 1.0), ("dog", 0.0)))),
        ({"cat": 0.9, "dog": None}, Cell(scores=(("cat", 0.9), ("dog", 0.0)))),
        ({"cat": "yes", "dog": ""}, Cell(scores=(("cat", 1.0), ("dog", 0.0)))),
        ([{"name": "cat", "score": 0.9}], Cell(scores=(("cat", 0.9),))),
        ([["cat", 0.9], ["dog", 0.2]], Cell(scores=(("cat", 0.9), ("dog", 0.2)))),
        ({"labels": ["cat", "dog"], "scores": [0.9, 0.2]}, Cell(scores=(("cat", 0.9), ("dog", 0.2)))),
        ([{"name": "cat"}, {"name": "dog", "score": 0.2}], Cell(scores=(("cat", 1.0), ("dog", 0.2)))),
    ],
)
def test_numbers_flags_and_scores(value, cell):
    assert read_cell(value) == cell


@pytest.mark.parametrize("text", ["[cat]", "None", "{x}"])
def test_a_known_class_is_no_list(text):
    assert read_cell(f" {text} ", frozenset({text})) == Cell(text=text)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[cat]", r"^'\[cat\]' is not a JSON list such as \[\"cat\", \"dog\"\]$"),
        ('["cat"', "is not a JSON list"),
        ("[" * 100_000, r"^'\[{59} is not a JSON list"),
        ("(" * 500, "is not a JSON list"),
        ("[" + "-" * 60_000 + "1]", "is not a JSON list"),
        ("[1e5 e]", "is not a JSON list"),
        ('["\\ud800"]', "is not a JSON list"),
        ("[__import__('os')]", "is not a JSON list"),
        (True, "labels must be names, got True"),
        (1.5, r"labels must be names, got 1\.5"),
        ("[1.5]", r"labels must be names, got \[1\.5\]"),
        (["cat", None], "labels must be names"),
        ([10**400], "labels must be names"),
        ("[" * 700 + "1" + "]" * 700, "labels must be names|not a JSON list"),
        ({"cat": "?"}, r"labels must be names, got \{'cat': '\?'\}"),
        ({"cat": -1}, "labels must be names"),
    ],
)
def test_cells_that_hold_no_labels(value, message):
    with pytest.raises(ValueError, match=message):
        read_cell(value)


def test_a_nul_is_refused():  # fault 24
    with pytest.raises(ValueError, match="holds a NUL character"):
        read_cell("d\0g")
