"""Ids and categories of COCO files."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.coco_categories import as_id, named_by_user, read_categories
from swtformer.datasets.problems import Problems


@pytest.mark.parametrize(
    ("value", "id"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (" -7 ", -7),
        ("007", "007"),
        ("-0", "-0"),
        ("٣", "٣"),
        ("9" * 19, "9" * 19),
        ("a 1", "a 1"),
        ("", None),
        (7.5, None),
        (True, None),
        (None, None),
        ([7], None),
    ],
)
def test_all_ways_to_write_an_id(value, id):
    found = as_id(value)
    assert (found, type(found)) == (id, type(id))


def read(tmp_path, categories, used=()):
    problems = Problems()
    names = read_categories(categories, set(used), tmp_path / "x.json", problems)
    problems.raise_fatal("set")
    return names, [problem.kind for problem in problems.warnings]


def category(id, name, parent="none"):
    return {"id": id, "name": name, "supercategory": parent}


def test_they_are_in_the_order_of_their_ids_with_text_behind(tmp_path):
    listed = [category("b", "cow"), category(10, "cat"), category("9", "dog"), category("a", 7)]
    names, kinds = read(tmp_path, listed)
    assert list(names.items()) == [(9, "dog"), (10, "cat"), ("b", "cow"), ("a", "7")]
    assert kinds == []


def test_what_is_no_class_has_no_name(tmp_path):
    listed = [category(0, "Background"), category(1, "cat"), category(255, "ignored")]
    names, kinds = read(tmp_path, listed, used={0, 1, 255})
    assert names == {0: None, 1: "cat", 255: None}
    assert kinds == ["background", "coco_ignored"]


@pytest.mark.parametrize(("used", "is_class"), [({1}, False), ({0, 1}, True)])
def test_a_group_without_objects_is_no_class(tmp_path, used, is_class):
    listed = [category(0, "pets"), category(1, "cat", "pets"), category(2, "dog", "pets")]
    names, kinds = read(tmp_path, listed, used=used)
    assert names[0] == ("pets" if is_class else None)
    assert kinds == ([] if is_class else ["coco_group"])


def test_the_parent_of_some_is_a_class(tmp_path):
    listed = [category(0, "pets"), category(1, "cat", "pets"), category(2, "dog", "animals")]
    assert read(tmp_path, listed)[0][0] == "pets"


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"id": 1}], r"categories\[0\]: needs an id and a name, got \{'id': 1\}"),
        ([{"id": 1, "name": " "}], "needs an id and a name"),
        ([{"id": 1, "name": True}], "needs an id and a name"),
        (["cat", "dog"], "needs an id and a name, got 'cat'.*There are 2 such faults"),
        ([category(1, "cat"), category("1", "dog")], r"categories\[1\]: id 1 appears twice"),
    ],
)
def test_faults(tmp_path, listed, message):
    with pytest.raises(Exception, match=message):
        read(tmp_path, listed)


def test_the_user_names_categories_in_the_order_of_their_ids(tmp_path):
    problems = Problems()
    names = named_by_user({10, 9, "x"}, ("cat", "dog", "cow"), tmp_path / "x.json", problems)
    assert names == {9: "cat", 10: "dog", "x": "cow"}
    assert "9=cat, 10=dog, x=cow" in problems.warnings[0].message
    problems.raise_fatal("set")


@pytest.mark.parametrize(("names", "message"), [(None, "name 2 classes"), (("cat",), "data.classes, not 1")])
def test_another_number_of_names_is_refused(tmp_path, names, message):
    problems = Problems()
    assert named_by_user({1, 2}, names, tmp_path / "x.json", problems) == {1: None, 2: None}
    with pytest.raises(Exception, match=message):
        problems.raise_fatal("set")
