"""Names from lists: which are safe, and which files they mean (faults 22 to 24)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swtformer.datasets.paths import (
    PROBED_NAMES,
    ImageFolder,
    images_folder,
    is_image_name,
    listed_path,
    locate,
    record_id,
)
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

COMPOSED, DECOMPOSED = "\u00e9t\u00e9.jpg", "e\u0301te\u0301.jpg"


def touch(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "x.y.png", "a b.TIFF", "a.jpg.webp"])
def test_images_by_name(name):
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a", "a.txt", "jpg", ".jpg", "._a.jpg", ".hidden.png", "a.jpg.part", ""])
def test_no_images_by_name(name):
    assert not is_image_name(name)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("a.jpg", "a"),
        ("sub/a.JPG", "sub/a"),
        ("x.y.png", "x.y"),
        ("x.y", "x.y"),
        ("v1.0/a", "v1.0/a"),
        ("a.tar.gz", "a.tar.gz"),
    ],
)
def test_ids_lose_the_image_extension_alone(name, id):
    assert record_id(name) == id


class TestImageFolder:
    def test_a_name_as_it_is_comes_first(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "a", "a.jpg", "sub/a.jpg", "notes.txt"))
        assert folder.matches("a") == ("a",)
        assert folder.matches("sub/a.jpg") == ("sub/a.jpg",)
        assert folder.matches("notes.txt") == ("notes.txt",)

    def test_the_image_extension_may_be_left_out(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "x.y.JPG", "deep/b.png", "deep/b.txt", "deep/.b.jpg"))
        assert folder.matches("x.y") == ("x.y.JPG",)
        assert folder.matches("deep/b") == ("deep/b.png",)

    def test_several_fit_without_extension_alone(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "a.png", "a.jpg"))
        assert folder.matches("a") == ("a.jpg", "a.png")
        assert folder.matches("a.png") == ("a.png",)

    def test_another_extension_is_another_name(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "a.png"))
        assert folder.matches("a.jpg") == folder.matches("A") == ()

    def test_case_makes_no_difference_to_whole_names(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "sub/a.JPG", "b.jpg", "B.jpg", "c.JPG", "C.jpg"))
        assert folder.matches("sub/A.jpg") == ("sub/a.JPG",)
        assert folder.matches("b.jpg") == ("b.jpg",), "the exact name is preferred"
        assert folder.matches("c.jpg") == ("C.jpg", "c.JPG")

    @pytest.mark.parametrize(("there", "asked"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
    def test_both_forms_of_unicode_are_one_name(self, tmp_path, there, asked):
        folder = ImageFolder(touch(tmp_path, f"sub/{there}"))
        assert folder.matches(f"sub/{asked}") == (f"sub/{there}",)
        assert folder.matches(f"sub/{asked.removesuffix('.jpg')}") == (f"sub/{there}",)

    def test_where_both_forms_are_files_each_means_itself(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, COMPOSED, DECOMPOSED))
        assert folder.matches(COMPOSED) == (COMPOSED,)
        assert folder.matches(DECOMPOSED) == (DECOMPOSED,)
        assert len(folder.matches(COMPOSED.removesuffix(".jpg"))) == 2

    def test_folders_are_no_files(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "a.jpg/b.jpg"))
        assert folder.matches("a.jpg") == folder.matches("a") == ()

    def test_a_folder_that_is_not_there_holds_nothing(self, tmp_path):
        touch(tmp_path, "file")
        assert ImageFolder(tmp_path / "nowhere").matches("a.jpg") == ()
        assert ImageFolder(tmp_path).matches("file/a.jpg") == ()
        assert ImageFolder(tmp_path).matches(f"{'x' * 300}/a.jpg") == ()

    def test_a_folder_is_read_once(self, tmp_path):
        folder = ImageFolder(touch(tmp_path, "a.jpg", "sub/b.jpg"))
        assert folder.matches("a.jpg")
        touch(tmp_path, "c.jpg", "sub/d.jpg")
        assert not folder.matches("c.jpg")
        assert folder.matches("sub/d.jpg") == ("sub/d.jpg",)


LOCKED = """
import os, sys
from pathlib import Path
from swtformer.datasets.paths import ImageFolder
from swtformer.errors import DataError

if os.geteuid() == 0:
    os.setuid(65534)
try:
    ImageFolder(Path(sys.argv[1])).matches("a.jpg")
except DataError as error:
    print(error)
"""


def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    folder = touch(tmp_path / "locked", "a.jpg")
    folder.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOCKED, str(folder)], capture_output=True, text=True, check=True
        )
    finally:
        folder.chmod(0o755)
    assert done.stdout == f"{folder}: permission denied; change its permissions.\n"


class TestImagesFolder:
    def test_the_named_folder_is_taken_whatever_it_holds(self, tmp_path):
        (tmp_path / "named").mkdir()
        touch(tmp_path, "a.jpg")
        found = images_folder(tmp_path / "named", [tmp_path], ["a.jpg"])
        assert found.root == tmp_path / "named"

    def test_a_named_folder_that_is_none_is_refused(self, tmp_path):
        touch(tmp_path, "file")
        for name in ("nowhere", "file"):
            with pytest.raises(DataError, match=f"{name}: the folder of images does not exist"):
                images_folder(tmp_path / name, [tmp_path], [])

    def test_else_the_one_that_holds_most_names(self, tmp_path):
        touch(tmp_path / "one", "a.jpg")
        touch(tmp_path / "two", "a.jpg", "b.jpg")
        candidates = [tmp_path / name for name in ("nowhere", "one", "two")]
        assert images_folder(None, candidates, ["a", "b", "c"]).root == tmp_path / "two"
        assert images_folder(None, candidates, ["a"]).root == tmp_path / "one", "the first on a tie"
        assert images_folder(None, candidates, []).root == tmp_path / "one"
        assert images_folder(None, candidates[:1], ["a"]).root == tmp_path / "nowhere"

    def test_unsafe_names_are_passed_over(self, tmp_path):
        touch(tmp_path / "one", "a.jpg")
        touch(tmp_path / "two" / "sub", "b.jpg")
        names = ["../one/a.jpg", "/etc/passwd", "x\0", "sub/b.jpg"]
        assert images_folder(None, [tmp_path / "one", tmp_path / "two"], names).root == tmp_path / "two"

    def test_only_the_first_names_are_tried(self, tmp_path):
        touch(tmp_path / "one", "first.jpg")
        touch(tmp_path / "two", "a.jpg", "b.jpg")
        names = ["first"] * PROBED_NAMES + ["a", "b"] * PROBED_NAMES
        assert images_folder(None, [tmp_path / "two", tmp_path / "one"], names).root == tmp_path / "one"


class TestLocate:
    def test_the_id_comes_from_the_file(self, tmp_path):
        folder, problems = ImageFolder(touch(tmp_path, f"sub/{DECOMPOSED}")), Problems()
        located = locate(folder, f".\\sub\\{COMPOSED.removesuffix('.jpg')}", "list:1", problems)
        assert located == (f"sub/{DECOMPOSED.removesuffix('.jpg')}", tmp_path / "sub" / DECOMPOSED)
        problems.raise_fatal("set")

    def test_a_missing_file_is_none(self, tmp_path):
        problems = Problems()
        assert locate(ImageFolder(tmp_path), "sub/a.jpg", "list:1", problems) == ("sub/a", None)
        problems.raise_fatal("set")
        assert problems.warnings == ()

    def test_another_case_is_said(self, tmp_path):
        problems = Problems()
        located = locate(ImageFolder(touch(tmp_path, "a.JPG")), "A.jpg", "list:1", problems)
        assert located == ("a", tmp_path / "a.JPG")
        assert [item.message for item in problems.warnings] == ["list:1: 'A.jpg' is taken to be 'a.JPG'."]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("../a.jpg", r"list:7: .* leaves .* folder by '\.\.'\."),
            ("a", r"list:7: 'a' fits 'a\.jpg' and 'a\.png'; write .* whole name\."),
        ],
    )
    def test_what_no_file_can_be_told_from_is_fatal(self, tmp_path, name, message):
        problems = Problems()
        assert locate(ImageFolder(touch(tmp_path, "a.png", "a.jpg")), name, "list:7", problems) is None
        with pytest.raises(DataError, match=message):
            problems.raise_fatal("set")

    def test_a_link_out_of_the_folder_is_a_file_like_others(self, tmp_path):
        """Data sets are often folders of links; only names may not leave the folder."""
        touch(tmp_path / "store", "x.jpg")
        (tmp_path / "images").mkdir()
        os.symlink(tmp_path / "store" / "x.jpg", tmp_path / "images" / "a.jpg")
        located = locate(ImageFolder(tmp_path / "images"), "a", "list:1", Problems())
        assert located == ("a", tmp_path / "images" / "a.jpg")
        assert Path(located[1]).is_file()


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("a.jpg", "a.jpg"),
        (" deep\\a b.jpg", "deep/a b.jpg"),
        ("C:\\data\\a.jpg", "C:/data/a.jpg"),
        ("50%20 done?d=x.jpg", "50%20 done?d=x.jpg"),
        ("https://host/x/a%20b.jpg?token=1#top", "/x/a b.jpg"),
        ("s3://bucket/deep/a.jpg", "/deep/a.jpg"),
        ("https://host/a.jpg?d=200", "/a.jpg"),
        ("data/local-files/?d=photos/a.jpg", "photos/a.jpg"),
        ("/data/local-files/?d=photos%2Fa.jpg", "photos/a.jpg"),
        ("http://localhost:8080/data/local-files/?d=photos/a.jpg", "photos/a.jpg"),
        ("/data/upload/3/1a2b3c4d-a%20b.jpg", "/data/upload/3/1a2b3c4d-a b.jpg"),
        ("/home/me/a%20b.jpg", "/home/me/a%20b.jpg"),
    ],
)
def test_the_path_that_a_reference_ends_in(reference, name):
    assert listed_path(reference) == name
