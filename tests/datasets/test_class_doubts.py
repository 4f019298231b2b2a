"""Doubts about class names and labels."""

from __future__ import annotations

import unicodedata

import pytest

from swtformer.datasets.class_doubts import doubt_classes
from swtformer.datasets.problems import Problems


def doubts(names, labels=()):
    problems = Problems()
    doubt_classes(names, [frozenset(own) for own in labels], problems)
    return [(problem.kind, problem.message) for problem in problems.warnings]


@pytest.mark.parametrize(
    "names",
    [
        ("Cat", "cat"),
        ("cat", "cats"),
        ("fox", "foxes"),
        ("berry", "berries"),
        ("traffic_light", "traffic light"),
        (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
    ],
)
def test_two_spellings_are_probably_one_class(names):
    ((kind, message),) = doubts(("dog", *names))
    assert kind == "class_spelling"
    assert "are probably one class" in message
    assert all(name in message or ascii(name) in message for name in names)


@pytest.mark.parametrize("name", ["shep", "sheeep", "shee", "sheepp", "sheap", "hseep", "shepe", "Shep"])
def test_a_rare_name_that_is_a_letter_away_from_a_frequent_one(name):
    ((kind, message),) = doubts(("dog", "sheep", name), [{1}] * 4 + [{2}, {0}])
    assert kind == "class_spelling"
    assert message == (
        f"class {name!r} (images: 1) may be a misspelling of 'sheep' (4); if so, correct the labels."
    )


def test_names_that_are_no_misspellings():
    assert doubts(("dog", "sheep", "shep"), [{1}] * 3 + [{2}]) == [], "not frequent enough"
    assert doubts(("boat", "goat"), [{0}] * 40 + [{1}] * 4) == [], "not rare"
    assert doubts(("玉米叶锈病", "玉米叶斑病"), [{0}] * 40 + [{1}]) == [], "a letter is a word"
    assert doubts(("cat", "car"), [{0}] * 9 + [{1}]) == [], "short"
    assert doubts(("sheep", "shop"), [{0}] * 9 + [{1}]) == [], "two letters"
    assert doubts(("lesion 1", "lesion 2"), [{0}] * 9 + [{1}]) == [], "numbers"


def test_characters_that_cannot_be_seen():
    assert [kind for kind, _ in doubts(("dog", "cat\u200b", "cat"))] == ["class_name", "class_spelling"]


@pytest.mark.parametrize("name", ["cat dog", "cat_dog", "cat and dog", "cat & dog", "dog/cat", "Cat-Dog"])
def test_a_name_that_is_two_others(name):
    ((kind, message),) = doubts(("cat", "dog", name))
    assert kind == "class_combination"
    assert repr(name) in message


@pytest.mark.parametrize(
    "names", [("cat", "dog"), ("bear", "polar bear"), ("bus", "bu"), ("glass", "grass"), ("s", "ss")]
)
def test_other_names_are_not_doubted(names):
    assert doubts(names) == []


def test_classes_that_are_always_together():
    ((kind, message),) = doubts(("a", "b", "c"), [{0, 1}, {0, 1}, {2}, {0, 1, 2}])
    assert kind == "class_pair"
    assert "'a' and 'b' are together in 3 of the 3 images" in message
    assert doubts(("a", "b"), [{0, 1}, {0, 1}, {0}]) == []
    assert doubts(("a", "b"), [{0, 1}]) == [], "one image shows nothing"
    assert len(doubts(("a", "b"), [{0, 1}] * 19 + [{0}])) == 1
    assert doubts(("a", "b"), [{0, 1}] * 18 + [{0}]) == []


@pytest.mark.parametrize("name", ["healthy", "No_Tumor", "NORMAL", "no"])
def test_a_class_may_be_of_images_that_show_nothing(name):
    ((kind, message),) = doubts((name, "scratch"))
    assert kind == "class_nothing"
    assert message.startswith(f"class {name!r} may mean that there is nothing")


@pytest.mark.parametrize("name", ["unknown", "Not_labeled", "?", "unlabeled"])
def test_a_class_may_mean_that_nobody_knows(name):
    ((kind, message),) = doubts(("cat", name))
    assert (kind, message) == (
        "class_unknown",
        f"class {name!r} may mean that nobody knows; if so, leave its images out.",
    )
