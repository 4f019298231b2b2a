"""Images of a table: in one folder, or spread over several."""

from __future__ import annotations

import pytest

from swtformer.datasets.paths import locate
from swtformer.datasets.problems import Problems
from swtformer.datasets.tables.image_search import ImageSearch


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def ids(tmp_path, names, **kwargs):
    folder = ImageSearch(tmp_path, None, **kwargs).folder_of(names)
    problems = Problems()
    located = [locate(folder, name, "t:2", problems) for name in names]
    problems.raise_fatal("set")
    return [item[0] if item and item[1] else None for item in located]


@pytest.mark.parametrize("folder", ["", "images/", "train_images/", "images/train/", "Fotos von 2024/"])
def test_one_folder_beside_the_table(tmp_path, folder):
    touch(tmp_path, f"{folder}a.jpg", f"{folder}b.jpg", "masks/a.png", "masks/b.png")
    assert ids(tmp_path, ["a", "b.jpg"]) == ["a", "b"]


def test_the_folder_above(tmp_path):
    touch(tmp_path, "images/a.jpg", "lists/labels.csv")
    folder = ImageSearch(tmp_path / "lists", None).folder_of(["a.jpg"])
    assert folder.root == tmp_path / "images"


def test_several_folders(tmp_path):
    touch(tmp_path, "part_1/a.jpg", "deep/part_2/b.jpg", "masks/b.png")
    assert ids(tmp_path, ["a", "b"]) == ["part_1/a", "deep/part_2/b"]
    assert ids(tmp_path, ["/old/part_1/a.jpg", "/old/part_2/b.jpg"]) == ["part_1/a", "deep/part_2/b"]


def test_case_makes_no_difference_where_one_file_fits(tmp_path):
    touch(tmp_path, "part_1/a.JPG", "part_2/B.jpg", "part_2/b.JPG")
    assert ids(tmp_path, ["a.jpg", "B.jpg"]) == ["part_1/a", "part_2/B"]


def test_a_name_in_several_folders_is_asked_for(tmp_path):
    touch(tmp_path, "p1/a.jpg", "p2/a.jpg", "p2/b.jpg", "p3/c.jpg")
    folder = ImageSearch(tmp_path, None).folder_of(["a.jpg", "b.jpg", "c.jpg"])
    problems = Problems()
    assert locate(folder, "a.jpg", "t:2", problems) is None
    with pytest.raises(Exception, match=r"'p1/a\.jpg' and 'p2/a\.jpg'; write its folder"):
        problems.raise_fatal("set")
    assert locate(folder, "p2/a.jpg", "t:2", Problems()) == ("p2/a", tmp_path / "p2/a.jpg")


def test_folders_of_masks_are_not_looked_into(tmp_path):
    touch(tmp_path, "images/a.jpg", "drawn/a.png", "drawn/b.png")
    assert ids(tmp_path, ["a", "b"], masks=tmp_path / "drawn") == ["a", None]


def test_a_link_is_not_followed_to_find_images(tmp_path):
    touch(tmp_path, "elsewhere/deep/b.jpg", "set/one/a.jpg")
    (tmp_path / "set" / "two").mkdir()
    (tmp_path / "set" / "two" / "link").symlink_to(tmp_path / "elsewhere")
    assert ids(tmp_path / "set", ["a", "b"]) == ["a", None]


def test_columns_are_told_by_their_files(tmp_path):
    touch(tmp_path, "images/a.jpg", "images/b.jpg")
    search = ImageSearch(tmp_path, None)
    assert search.hits(["a", "b", "a"]) == 2
    assert search.hits(["x", "../images/a.jpg", "\0"]) == 0


def test_a_photograph_of_one_name_in_two_folders(tmp_path):
    touch(tmp_path, "a/IMG_1.jpg", "b/IMG_1.jpg", "b/IMG_2.jpg", "masks/IMG_1.png", "c/IMG_1.png")
    search = ImageSearch(tmp_path, None)
    names = ["IMG_2.jpg", "IMG_1.jpg"]
    chosen = search.folder_of(names)
    assert chosen.root == tmp_path / "b"
    assert search.elsewhere(names, chosen) == ("IMG_1.jpg", [tmp_path / "a"])
    assert search.elsewhere(["IMG_2.jpg"], chosen) == ("", [])
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "IMG_2.jpg").symlink_to(tmp_path / "b" / "IMG_2.jpg")
    linked = ImageSearch(tmp_path, None)
    assert linked.elsewhere(["IMG_2.jpg"], linked.folder_of(names)) == ("", [])
    named = ImageSearch(tmp_path, tmp_path / "b")
    assert named.elsewhere(names, named.folder_of(names)) == ("", [])


def test_photographs_spread_over_folders_are_not_in_two(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "a/3.jpg")
    search = ImageSearch(tmp_path, None)
    names = ["1.jpg", "2.jpg", "3.jpg"]
    assert search.elsewhere(names, search.folder_of(names)) == ("", [])
