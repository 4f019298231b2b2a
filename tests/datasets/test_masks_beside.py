"""Masks are found as people lay them."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.datasets.masks_beside import column_mask, find_masks, lossy_mask, named_in_other_case
from swtformer.datasets.paths import ImageFolder
from swtformer.datasets.problems import Problems


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(tmp_path, ids, masks, *, images="images"):
    touch(tmp_path / "masks", *masks)
    root = tmp_path / images
    pairs = [(id, root / f"{id}.jpg") for id in ids]
    return {
        id: file.relative_to(tmp_path / "masks").as_posix()
        for id, file in find_masks(tmp_path / "masks", pairs).items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "{}.png",
        "{}_mask.png",
        "{}_seg.png",
        "{}_label.png",
        "{}_gt.png",
        "mask_{}.png",
        "{}.tif",
        "{}.PNG",
        "{}_mask.bmp",
        "images/{}.png",
    ],
)
def test_usual_names(tmp_path, name):
    masks = [name.format(id) for id in "ab"]
    assert found(tmp_path, ["a", "b"], masks) == dict(zip("ab", masks, strict=True))


@pytest.mark.parametrize("folder", ["", "train/", "images/train/"])
def test_with_and_without_the_folders_of_the_images(tmp_path, folder):
    masks = [f"{folder}{id}_mask.png" for id in "ab"]
    ids = ["images/train/a", "images/train/b"]
    assert found(tmp_path, ids, masks, images="") == dict(zip(ids, masks, strict=True))


def test_a_folder_of_masks_in_place_of_that_of_the_images(tmp_path):
    masks = ["train/masks/a.png", "train/masks/b.png"]
    ids = ["train/images/a", "train/images/b"]
    assert found(tmp_path, ids, masks, images="") == dict(zip(ids, masks, strict=True))


def test_the_way_that_finds_most_is_taken_for_all(tmp_path):
    masks = ["a.png", "a_mask.png", "b_mask.png"]
    assert found(tmp_path, ["a", "b", "c"], masks) == {"a": "a_mask.png", "b": "b_mask.png"}


def test_no_mask_is_that_of_two_images(tmp_path):
    assert found(tmp_path, ["x/a", "y/a"], ["a.png"], images="") == {}


def test_an_image_is_no_mask(tmp_path):
    touch(tmp_path, "a.png", "a_mask.png")
    assert find_masks(tmp_path, [("a", tmp_path / "a.png")]) == {"a": tmp_path / "a_mask.png"}


def test_jpeg_masks_are_named(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a_mask.jpg")
    image = tmp_path / "images/a.jpg"
    assert find_masks(tmp_path / "masks", [("a", image)]) == {}
    assert lossy_mask(tmp_path / "masks", [("a", image)]) == tmp_path / "masks/a_mask.jpg"
    assert lossy_mask(tmp_path / "images", [("a", image)]) is None


@pytest.mark.parametrize(
    ("id", "mask", "is_other"),
    [
        ("A", "a.png", True),
        ("x/A", "x/a_mask.png", True),
        ("Straße", "STRASSE.png", True),
        ("A", "A.PNG", False),
        ("A", "A_MASK.png", False),
        ("A", "b.png", False),
        ("e\u0301", "\u00e9.png", False),
    ],
)
def test_masks_named_in_another_case(id, mask, is_other):
    assert named_in_other_case(id, Path(mask)) == is_other


class TestColumn:
    def test_another_case_is_said(self, tmp_path):
        touch(tmp_path, "masks/a.PNG")
        problems = Problems()
        folders = [ImageFolder(tmp_path / "masks")]
        assert column_mask("masks/A.png", "t:2", folders, problems) == tmp_path / "masks/a.PNG"
        (problem,) = problems.warnings
        assert (problem.kind, problem.message) == (
            "other_case",
            "t:2: mask 'masks/A.png' is taken to be 'a.PNG'.",
        )
        column_mask("masks/a.PNG", "t:2", folders, problems)
        assert len(problems.warnings) == 1

    @pytest.mark.parametrize(
        "name", ["masks/a.png", "a.png", "masks\\a.png", "/old/masks/a.png", "C:\\old\\a.png"]
    )
    def test_names_with_and_without_folders(self, tmp_path, name):
        touch(tmp_path, "masks/a.png")
        folders = [ImageFolder(tmp_path), ImageFolder(tmp_path / "masks")]
        assert column_mask(name, "t:2", folders, Problems()) == tmp_path / "masks/a.png"

    def test_a_missing_one_says_where_it_was_looked_for(self, tmp_path):
        problems = Problems()
        assert column_mask("m/a.png", "t:2", [ImageFolder(tmp_path)], problems) is None
        (problem,) = problems.warnings
        assert f"(looked for {tmp_path / 'm/a.png'})" in problem.message

    def test_none_leads_out_of_the_set(self, tmp_path: Path):
        problems = Problems()
        assert column_mask("../a.png", "t:2", [ImageFolder(tmp_path)], problems) is None
        assert problems.warnings == ()
