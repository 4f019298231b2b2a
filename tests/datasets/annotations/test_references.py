from __future__ import annotations

from types import MappingProxyType

import pytest

from swtformer.datasets.annotations.references import Reference, find_images
from swtformer.datasets.problems import Problems


@pytest.fixture
def find(tmp_path, write_images):
    """Writes images and looks for names; gives (id, path in the set) of each, and the problems."""

    def run(images, names, *, named=None, others=MappingProxyType({})):
        write_images(tmp_path, images)
        problems = Problems()
        found = find_images(
            [
                Reference(name, f"x.json: images[{k}]", (others or {}).get(name))
                for k, name in enumerate(names)
            ],
            root=tmp_path,
            beside=tmp_path / "annotations",
            candidates=[tmp_path / "images", tmp_path],
            named=named,
            problems=problems,
        )
        there = [
            item and (item[0], item[1] and item[1].relative_to(tmp_path).as_posix()) for item in found.images
        ]
        return there, problems

    return run


@pytest.mark.parametrize(
    "name",
    [
        "/content/dataset/images/a.jpg",
        "C:\\Users\\me\\images\\a.jpg",
        "s3://bucket/images/a.jpg",
        "https://host/train2017/a.jpg",
        "/data/upload/3/1a2b3c4d-a.jpg",
        "..\\..\\label-studio\\data\\media\\upload\\1\\1a2b3c4d-a.jpg",
        "images/1/1a2b3c4d-a.jpg",
        "other/a",
    ],
)
def test_names_that_fit_in_part_are_found_and_told_once(find, name):
    there, problems = find(["images/a.jpg", "images/b.jpg"], [name, name.replace("a.jpg", "b.jpg")])
    assert there[0] == ("a", "images/a.jpg")
    problems.raise_fatal("x")
    (warning,) = problems.warnings
    assert "is taken to be images/a.jpg" in warning.message
    assert "x.json: images[0]" in warning.message


def test_names_as_they_are_need_no_word(find):
    there, problems = find(["images/a.jpg", "images/deep/b.jpg"], ["a.jpg", "deep\\b.jpg", "gone.jpg"])
    assert there == [("a", "images/a.jpg"), ("deep/b", "images/deep/b.jpg"), ("gone", None)]
    problems.raise_fatal("x")
    assert problems.warnings == ()


def test_case_makes_no_difference_and_is_said(find):
    there, problems = find(["a.JPG", "b.jpg"], ["a.jpg", "b.jpg"])
    assert there == [("a", "a.JPG"), ("b", "b.jpg")]
    (warning,) = problems.warnings
    assert "'a.jpg' is taken to be a.JPG; of 2 names, 1 fit" in warning.message


def test_a_missing_image_is_not_taken_from_elsewhere(find):
    there, _ = find(["images/a.jpg", "val/b.jpg"], ["a.jpg", "b.jpg"])
    assert there == [("a", "images/a.jpg"), ("b", None)]


def test_the_last_part_alone_must_be_unique(find):
    there, problems = find(["x/a.jpg", "y/a.jpg"], ["s3://bucket/a.jpg"])
    assert there == [None]
    with pytest.raises(Exception, match=r"may be 'x/a\.jpg' and 'y/a\.jpg'"):
        problems.raise_fatal("x")
    there, problems = find([], ["s3://bucket/y/a.jpg"])
    assert there == [("y/a", "y/a.jpg")], "its folder tells which"


def test_two_names_never_share_a_file(find):
    _, problems = find(["images/a.jpg"], ["/cam1/a.jpg", "/cam2/a.jpg"])
    with pytest.raises(Exception, match=r"would both be 'a\.jpg'"):
        problems.raise_fatal("x")


def test_names_relative_to_the_file_stay_in_the_set(find):
    there, problems = find(["photos/a.jpg", "images/b.jpg"], ["../photos/a.jpg", "b.jpg"])
    assert there == [("photos/a", "photos/a.jpg"), ("b", "images/b.jpg")]
    assert problems.warnings == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../a.jpg", "leaves the images' folder"),
        ("../../x/images/a.jpg", "leaves the images' folder"),
        ("a\0.jpg", "NUL"),
        (" ", "is empty"),
        ("/etc/passwd", "no image in .* ends like it"),
    ],
)
def test_names_that_cannot_be_used_are_counted(find, name, message):
    there, problems = find(["images/a.jpg"], [name, name, "a.jpg"])
    assert there[2] == ("a", "images/a.jpg")
    with pytest.raises(Exception, match=message) as caught:
        problems.raise_fatal("x")
    assert "2 of 3 names cannot be used" in str(caught.value)


def test_an_absolute_name_may_be_missing_where_others_are_found(find):
    there, problems = find(["images/a.jpg"], ["/content/a.jpg", "/content/gone.jpg"])
    assert there == [("a", "images/a.jpg"), ("gone", None)]
    problems.raise_fatal("x")


def test_names_that_an_upload_changed(find):
    names = ["/data/upload/1/0a1b2c3d-my_photo_1.jpg", "/data/upload/1/0a1b2c3d-deadbeef-b.jpg"]
    there, _ = find(["images/my photo (1).jpg", "images/deadbeef-b.jpg"], names)
    assert there == [("my photo (1)", "images/my photo (1).jpg"), ("deadbeef-b", "images/deadbeef-b.jpg")]
    there, _ = find(["images/0a1b2c3d-c.jpg", "images/c.jpg"], ["upload/1/0a1b2c3d-c.jpg"])
    assert there == [("0a1b2c3d-c", "images/0a1b2c3d-c.jpg")], "the prefix is taken off only where it must be"


def test_the_other_name(find):
    there, problems = find(
        ["images/a.jpg"],
        ["a_jpg.rf.0123.jpg", "b.jpg"],
        others={"a_jpg.rf.0123.jpg": "a.jpg", "b.jpg": "a.jpg"},
    )
    assert there[0] == ("a", "images/a.jpg")
    with pytest.raises(Exception, match="would both be"):
        problems.raise_fatal("x")


def test_a_named_folder_is_searched_alone(find, tmp_path):
    there, _ = find(["mine/deep/a.jpg", "images/a.jpg"], ["/x/a.jpg"], named=tmp_path / "mine")
    assert there == [("deep/a", "mine/deep/a.jpg")]


def test_two_files_without_extension(find):
    there, problems = find(["images/a.jpg", "images/a.png"], ["a"])
    assert there == [None]
    with pytest.raises(Exception, match="write the whole name"):
        problems.raise_fatal("x")


def test_links_are_not_followed_out(find, tmp_path, tmp_path_factory, write_images):
    outside = tmp_path_factory.mktemp("outside")
    write_images(outside, ["a.jpg"])
    (tmp_path / "link").symlink_to(outside)
    there, problems = find(["images/b.jpg"], ["s3://bucket/a.jpg"])
    assert there == [("a", None)]
    with pytest.raises(Exception, match="no image in"):
        problems.raise_fatal("x")


def test_case_may_differ_where_one_file_fits(find):
    there, _ = find(["images/IMG_1.JPG"], ["/sdcard/img_1.jpg"])
    assert there == [("IMG_1", "images/IMG_1.JPG")]
    there, _ = find(["images/Img_1.jpg"], ["/sdcard/img_1.jpg"])
    assert there == [None], "two files differ by case alone"
