"""What separates labels is told from all cells together, or asked for."""

from __future__ import annotations

import pytest

from swtformer.datasets.tables.separators import find_separator, list_of, mark_of, separate


@pytest.mark.parametrize("mark", ["\n", ";", "|", ",", "+", "/", "&", " "])
def test_a_combination_of_names_that_are_found_alone_shows_it(mark):
    found = find_separator(["cat", "dog", f"cat{mark}dog"])
    assert (found.mark, found.doubt) == (mark, "")


@pytest.mark.parametrize("mark", ["\n", ";", "|"])
def test_marks_that_names_do_not_hold_need_no_evidence(mark):
    assert find_separator([f"cat{mark}dog"]).mark == mark


@pytest.mark.parametrize("mark", [",", "+", " "])
def test_names_that_are_never_alone_are_shown_by_their_partners(mark):
    texts = ["cat", "dog", f"cat{mark}dog", f"cat{mark}person", f"dog{mark}person"]
    assert find_separator(texts).mark == mark


@pytest.mark.parametrize(
    "texts",
    [
        ["cat", "dog"],
        ["traffic light", "polar bear", "cat"],
        ["polar bear", "brown bear", "bear", "cat"],
        ["black bear", "black dog", "bear", "dog"],
        ["polar bear", "polar bear cub"],
        ["C/D", "x&y", "a+"],
        [],
    ],
)
def test_names_of_several_words_stay_whole(texts):
    found = find_separator(texts)
    assert (found.mark, found.doubt) == (None, "")


@pytest.mark.parametrize(
    ("texts", "example"),
    [
        (["tench, Tinca tinca", "goldfish, Carassius auratus"], "'tench, Tinca tinca'"),
        (["cat", "dog", "cat dog", "traffic light"], "'cat dog'"),
        (["haze primary", "clear primary", "clear water", "clear primary water"], "'clear water'"),
        (["a b", "b a", "a c", "c a", "b c", "c b"], "'a b'"),
        (["cat", "cat + dog"], "'cat [+] dog'"),
    ],
)
def test_what_is_shown_in_part_is_asked_for(texts, example):
    found = find_separator(texts)
    assert found.mark is None
    assert found.doubt.startswith("is ")
    assert "reader.separator never" in found.doubt
    assert example.replace("[+]", "+") in found.doubt


def test_two_separators_in_one_column_are_doubted():
    assert "write all cells with one separator" in find_separator(["cat;dog", "dog|horse", "horse"]).doubt
    assert find_separator(["cat;dog", "a|b"]).doubt == ""


def test_known_classes_are_evidence_and_stay_whole():
    assert find_separator(["cat dog"], {"cat", "dog"}).mark == " "
    assert find_separator(["tench, Tinca tinca"], {"tench, Tinca tinca"}).mark is None
    assert separate("tench, Tinca tinca", ",", {"tench, Tinca tinca"}) == ("tench, Tinca tinca",)


def test_numbers_are_always_separate():
    assert find_separator(["0 3", "25"]).mark == " "


def test_separating():
    assert separate(" cat ; dog;cat;; ", ";") == ("cat", "dog")
    assert list_of("1 0  1", " ") == ["1", "0", "1"]
    assert separate(" cat dog ", None) == ("cat dog",)


@pytest.mark.parametrize(
    ("said", "mark"),
    [("blank", " "), ("comma", ","), ("line", "\n"), ("never", None), ("", None), ("|", "|"), ("--", "--")],
)
def test_marks_that_users_name(said, mark):
    assert mark_of(said) == mark
