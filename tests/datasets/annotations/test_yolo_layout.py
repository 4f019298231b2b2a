"""What data.yaml and lists of YOLO data sets say."""

from __future__ import annotations

import pytest

from swtformer.datasets.annotations.yolo_layout import (
    find_yaml,
    folders_with_yaml,
    layout_without_yaml,
    listed,
    read_layout,
)
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

IMAGES = ("images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg")
NAMES = "names: [cat, dog]\n"


@pytest.fixture
def read(tmp_path):
    """Reads a data.yaml in a folder with IMAGES."""
    for name in IMAGES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def read_text(text):
        (tmp_path / "data.yaml").write_text(text)
        problems = Problems()
        layout = read_layout(tmp_path / "data.yaml", IMAGES, problems)
        problems.raise_fatal("set")
        return layout, [problem.message for problem in problems.warnings]

    return read_text


@pytest.mark.parametrize(
    ("names", "by_number"),
    [
        ("[cat, dog]", {0: "cat", 1: "dog"}),
        ("{1: dog, 0: cat}", {0: "cat", 1: "dog"}),
        ("{'10': cat, '2': 7}", {2: "7", 10: "cat"}),
    ],
)
def test_names(read, names, by_number):
    layout, _ = read(f"train: images/train\nnames: {names}\n")
    assert list(layout.names.items()) == list(by_number.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: cat\n", "expected names as a list or as numbers and names, got 'cat'"),
        ("names: [yes, dog]\n", "True is not a class name; write names in quotes"),
        ("names: [cat, cat]\n", "names the class 'cat' twice"),
        ("names: {a: cat}\n", "expected the number of the class 'cat', got 'a'"),
        ("nc: 3\nnames: [cat, dog]\n", "says nc: 3, but names has 2"),
        (f"{NAMES}train: [5]\n", "expected folders of images in train, got 5"),
        (f"{NAMES}train: elsewhere\n", "train: 'elsewhere' is not in"),
    ],
)
def test_faults(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "[1, 2]"])
def test_a_file_that_cannot_be_read(read, text):
    with pytest.raises(DataError, match=r"data\.yaml.*(is not valid YAML|expected names, train and val)"):
        read(text)


@pytest.mark.parametrize(
    "train",
    [
        "images/train",
        "./images/train",
        "../set/images/train",
        "/home/me/set/images/train",
        "C:\\set\\images\\train",
    ],
)
def test_folders_of_another_machine(read, train):
    layout, _ = read(f"{NAMES}train: {train}\nval: images/val\n")
    assert layout.splits == {"train": set(IMAGES[:2]), "val": {IMAGES[2]}}


def test_a_split_is_not_taken_for_another_one(read):
    layout, said = read(f"{NAMES}train: images/train\nval: images/valid/val\n")
    assert list(layout.splits) == ["train"]
    assert "val: 'images/valid/val' is not in" in said[0]


def test_lists_name_images_of_another_machine(read, tmp_path):
    (tmp_path / "train.txt").write_text("/old/images/train/a.jpg\n./images/train/b.jpg\ngone.jpg\n")
    layout, said = read(f"{NAMES}train: train.txt\n")
    assert layout.splits == {"train": set(IMAGES[:2])}
    assert "1 of the images that it lists are missing, 'gone.jpg' (line 3) first" in said[0]


def test_a_list_of_nothing_that_is_there_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("gone.jpg\n")
    problems = Problems()
    assert listed(tmp_path / "train.txt", IMAGES, problems) == set()
    with pytest.raises(DataError, match="1 of the images that it lists are missing"):
        problems.raise_fatal("set")


def test_the_description_is_found_by_name_or_alone(tmp_path):
    (tmp_path / "inner").mkdir()
    own = tmp_path / "inner" / "my.yaml"
    own.write_text(f"{NAMES}train: x\n")
    (tmp_path / "inner" / "settings.yaml").write_text("train: x\n")
    assert find_yaml(tmp_path) == find_yaml(own) == own
    assert folders_with_yaml(tmp_path) == ["inner"]
    (tmp_path / "inner" / "other.yml").write_text(f"{NAMES}val: x\n")
    with pytest.raises(DataError, match=r"several descriptions .*: my\.yaml, other\.yml"):
        find_yaml(tmp_path / "inner")
    (tmp_path / "inner" / "data.yaml").write_text(f"{NAMES}val: x\n")
    assert find_yaml(tmp_path / "inner") == tmp_path / "inner" / "data.yaml"


def test_names_and_lists_without_a_description(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "train.txt").write_text("images/train/a.jpg\n")
    files = ["labels/classes.txt", "train.txt"]
    layout = layout_without_yaml(tmp_path, files, IMAGES, Problems())
    assert layout is not None
    assert (layout.names, layout.splits) == ({0: "cat", 1: "dog"}, {"train": {IMAGES[0]}})
    assert layout_without_yaml(tmp_path, ["train.txt"], IMAGES, Problems()) is None
    (tmp_path / "obj.names").write_text("dog\ncat\n")
    problems = Problems()
    layout_without_yaml(tmp_path, [*files, "obj.names"], IMAGES, problems)
    with pytest.raises(DataError, match="name different classes; keep one"):
        problems.raise_fatal("set")
