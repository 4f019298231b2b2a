from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets import ImageSet, Record, open_dataset
from swtformer.datasets.groups import require_no_shared_group, shared_groups, with_groups
from swtformer.errors import DataError
from swtformer.settings import DataSettings


def of_ids(*ids: str, groups: tuple[str | None, ...] = ()) -> ImageSet:
    groups = groups or (None,) * len(ids)
    records = tuple(
        Record(id, Path(f"{id}.jpg"), (0,), group=group) for id, group in zip(ids, groups, strict=True)
    )
    return ImageSet("toy", "folder", Path("toy"), ("a",), records)


@pytest.mark.parametrize(
    ("pattern", "id", "group"),
    [
        (r"^(patient\d+)", "patient12_3_4[1001]", "patient12"),
        (r"^(patient\d+)", "tumour/patient12_3", "patient12"),
        (r"^(\w+)/", "tumour/patient12_3", "tumour"),
        (r"(?P<site>[A-Z])\d+-(?P<slide>\d+)", "B7-03-x", "B/03"),
        (r"s(\d+)(b)?", "s4", "4"),
    ],
)
def test_a_pattern_finds_the_group_in_the_name(pattern: str, id: str, group: str) -> None:
    assert with_groups(of_ids(id), pattern).records[0].group == group


def test_images_without_a_group_are_told() -> None:
    data = with_groups(of_ids("p1_a", "p1_b", "x", "y"), r"^(p\d)")
    assert [record.group for record in data.records] == ["p1", "p1", None, None]
    (problem,) = data.problems
    assert (problem.kind, problem.fatal) == ("image_without_group", False)
    assert "2 images (x, y) have no group" in problem.message


def test_groups_of_one_image_each_are_told() -> None:
    (problem,) = with_groups(of_ids("p1", "p2"), r"^(p\d)").problems
    assert problem.kind == "groups_of_one_image"
    assert with_groups(of_ids("p1a", "p1b"), r"^(p\d)").problems == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (r"^(q\d)", "finds no group in any image"),
        (r"^p\d", "nor a pattern with a group in parenthes"),
        ("patient", "nor a pattern with a group in parenthes"),
        ("(", "nor a pattern with a group in parenthes"),
    ],
)
def test_what_finds_no_group_is_refused(wanted: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_groups(of_ids("p1", "p2"), wanted)


def test_a_column_of_the_table_holds_the_groups(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels,Patient\na.jpg,cat,7\nb.jpg,dog,7\nc.jpg,cat,\n")
    data = open_dataset(tmp_path, DataSettings(group="Patient"))
    assert [record.group for record in data.records] == ["7", "7", None]
    assert "1 image (c) has no group" in data.problems[-1].message
    assert {record.group for record in open_dataset(tmp_path).records} == {None}


def test_a_column_of_groups_is_not_a_class(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "labels.csv").write_text("image,cat,fold\na.jpg,1,0\nb.jpg,0,1\n")
    data = open_dataset(tmp_path, DataSettings(group="fold"))
    assert data.classes == ("cat",)
    assert [record.group for record in data.records] == ["0", "1"]


def test_a_pattern_serves_tables_as_well(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["p1_a.jpg", "p1_b.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels\np1_a.jpg,cat\np1_b.jpg,dog\n")
    data = open_dataset(tmp_path, DataSettings(group=r"^(p\d)"))
    assert [record.group for record in data.records] == ["p1", "p1"]


def test_a_misspelt_column_is_refused_with_the_nearest(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels,patient\na.jpg,cat,7\n")
    with pytest.raises(DataError, match=r"columns: image, labels, patient\. Did you"):
        open_dataset(tmp_path, DataSettings(group="patiant"))


def test_an_image_in_two_groups_is_refused(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "labels.csv").write_text("image,labels,patient\na.jpg,cat,7\na.jpg,cat,8\n")
    with pytest.raises(DataError, match="'a' is of the group '8', but of '7'"):
        open_dataset(tmp_path, DataSettings(group="patient"))


def test_rows_of_an_object_each_share_their_image_s_group(write_images, tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    rows = ("a.jpg,cat,0,0,2,2,7", "a.jpg,dog,0,0,3,3,{}", "b.jpg,cat,0,0,2,2,8")
    table = "\n".join(["image,label,xmin,ymin,xmax,ymax,patient", *rows])
    (tmp_path / "labels.csv").write_text(table.format(7))
    data = open_dataset(tmp_path, DataSettings(group="patient"))
    assert [(record.present, record.group) for record in data.records] == [((0, 1), "7"), ((0,), "8")]
    (tmp_path / "labels.csv").write_text(table.format(8))
    with pytest.raises(DataError, match=r"'a\.jpg' is in several groups: 7, 8"):
        open_dataset(tmp_path, DataSettings(group="patient"))


def test_groups_in_two_splits_are_named_with_their_numbers() -> None:
    one = of_ids("a", "b", "c", "d", groups=("p1", "p1", "p2", None))
    other = of_ids("e", "f", groups=("p1", None))
    assert "1 group is in toy and in toy (p1: 2 and 1 images)." in shared_groups(one, other)
    with pytest.raises(DataError, match=r"p1: 2 and 1 images"):
        require_no_shared_group(one, other)
    assert shared_groups(one, of_ids("g", groups=("p3",))) == ""
    require_no_shared_group(of_ids("a", "b"), of_ids("a"))
