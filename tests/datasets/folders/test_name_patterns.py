from __future__ import annotations

import pytest

from swtformer.datasets import open_dataset
from swtformer.datasets.folders.name_patterns import NamePattern, are_vectors, pattern_hint
from swtformer.errors import DataError, SettingsError
from swtformer.settings import DataSettings

CLASSES = ("tumor", "stroma", "necrosis")
VECTOR = r"_(?P<labels>\[?[01][01, ]*\]?)\.png$"


@pytest.mark.parametrize(
    ("pattern", "name", "labels"),
    [
        (r"^(?P<label>[a-z]+)_", "tumor_0012.png", ("tumor",)),
        (r"^(?P<label>[a-z]+)_", "deep/er/tumor_0012.png", ("tumor",)),
        (r"^(?P<label>\w+)/", "stroma/0012.png", ("stroma",)),
        (r"class(?P<label>\d)", "8863_idx5_x51_y1251_class1.png", ("stroma",)),
        (r"class(?:0|(?P<label>[12]))", "8863_class0.png", ()),
        (r"(?P<label1>[a-z]+)-(?P<label2>[a-z]+)", "tumor-stroma.png", ("tumor", "stroma")),
        (r"(?P<label1>[a-z]+)-(?P<label2>[a-z]+)?", "tumor-.png", ("tumor",)),
        (r"_(?P<labels>[a-z+]+)\.", "7_tumor+stroma.png", ("tumor", "stroma")),
        (r"^(?P<labels>[a-z_]+)_\d", "tumor_stroma_7.png", ("tumor", "stroma")),
        (VECTOR, "patch_[1, 0, 1].png", ("tumor", "necrosis")),
        (VECTOR, "patch_[1 0 1].png", ("tumor", "necrosis")),
        (VECTOR, "patch_[101].png", ("tumor", "necrosis")),
        (VECTOR, "patch_000.png", ()),
        (r"^(?P<label>[a-z]+)_", "0012.png", None),
    ],
)
def test_labels_of_a_name(pattern, name, labels):
    assert NamePattern(pattern, CLASSES, None).labels(name) == labels


def test_a_separator_can_be_set():
    pattern = NamePattern(r"^(?P<labels>.+)\.", None, "--")
    assert pattern.labels("hot_dog--bun.jpg") == ("hot_dog", "bun")
    assert NamePattern(r"^(?P<labels>.+)\.", ("hot_dog", "bun"), None).labels("hot_dog.jpg") == ("hot_dog",)


@pytest.mark.parametrize(
    ("pattern", "name", "classes", "message"),
    [
        (VECTOR, "p_[1, 0].png", CLASSES, "2 values for 3 declared"),
        (VECTOR, "p_[1, 0, 1].png", None, "names are not known"),
        (r"_(?P<label>\d)\.", "p_3.png", CLASSES, "beyond the 3 declared"),
        (r"_(?P<label>\d+)\.", "p_101.png", CLASSES, "name the group labels"),
    ],
)
def test_values_that_are_no_labels(pattern, name, classes, message):
    with pytest.raises(ValueError, match=message):
        NamePattern(pattern, classes, None).labels(name)


def test_vectors_are_told_from_numbers():
    assert are_vectors({"0001", "1001"})
    assert not are_vectors({"0", "1"})
    assert not are_vectors({"001", "1001"})


def present(data):
    return {record.id: record.present for record in data.records}


def test_pathology_tiles(tmp_path, write_images):
    write_images(tmp_path / "training", ["1-2_[1, 0, 1].png", "1-3_[0, 0, 0].png"])
    write_images(tmp_path / "val", ["2-2_[0, 1, 0].png"])
    data = open_dataset(tmp_path, DataSettings(pattern=VECTOR, classes=CLASSES))
    assert (data.format, data.split, data.classes) == ("folder", "training", CLASSES)
    assert present(data) == {"1-2_[1, 0, 1]": (0, 2), "1-3_[0, 0, 0]": ()}
    assert "file names by the pattern" in data.labels_from


def test_the_pattern_comes_before_every_other_format(tmp_path, write_images):
    write_images(tmp_path, ["images/cat_1.jpg", "images/dog_1.jpg", "masks/cat_1.png"])
    (tmp_path / "labels.csv").write_text("image,labels\ncat_1.jpg,cow\n")
    settings = DataSettings(pattern="^(?P<label>[a-z]+)_", images=tmp_path / "images")
    assert present(open_dataset(tmp_path, settings)) == {"cat_1": (0,), "dog_1": (1,)}
    with pytest.raises(SettingsError, match="leave it out for table"):
        open_dataset(tmp_path, settings.model_copy(update={"format": "table"}))


def test_numbers_become_the_declared_classes(tmp_path, write_images):
    write_images(tmp_path, ["a_class1.png", "b_class0.png"])
    (tmp_path / "classes.txt").write_text("benign\ncancer\n")
    data = open_dataset(tmp_path, DataSettings(pattern=r"class(?P<label>\d)"))
    assert present(data) == {"a_class1": (1,), "b_class0": (0,)}
    assert "numbers of the classes from 0" in data.labels_from


def test_background_in_names_is_no_class(tmp_path, write_images):
    write_images(tmp_path, ["cat_1.jpg", "background_1.jpg"])
    data = open_dataset(tmp_path, DataSettings(pattern="^(?P<label>[a-z]+)_"))
    assert present(data) == {"background_1": (), "cat_1": (0,)}
    assert "file names: 'background' means background" in data.problems[0].message


def test_a_pattern_that_fits_few_names_is_refused(tmp_path, write_images):
    write_images(tmp_path, ["cat_1.jpg", "1.jpg", "2.jpg"])
    with pytest.raises(DataError, match=r"fits 1 of 3 images; .*'1\.jpg', '2\.jpg'"):
        open_dataset(tmp_path, DataSettings(pattern="^(?P<label>[a-z]+)_"))
    write_images(tmp_path, ["cat_2.jpg"])
    data = open_dataset(tmp_path, DataSettings(pattern="^(?P<label>[a-z]+)_"))
    assert present(data) == {"1": None, "2": None, "cat_1": (0,), "cat_2": (0,)}
    assert "fits 2 of 4" in data.problems[0].message


def test_a_vector_as_one_label_is_refused(tmp_path, write_images):
    write_images(tmp_path, ["a-1001.jpg", "b-0001.jpg"])
    with pytest.raises(DataError, match="a 0 or 1 for each class"):
        open_dataset(tmp_path, DataSettings(pattern=r"-(?P<label>\d+)"))


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["436-12-[0 0 1]", "437-12-[1 0 1]"], "abc", [("c",), ("a", "c")]),
        (["p_0_[0, 1]", "p_1_[0,0]"], "ab", [("b",), ()]),
        (["TCGA-0.25+1[0101]", "TCGA-0.25+2[1000]"], "abcd", [("b", "d"), ("a",)]),
        (["1_110", "27_011"], "abc", [("a", "b"), ("b", "c")]),
        (["cat.0", "cat.1", "dog.0", "dog.1"], None, [("cat",), ("cat",), ("dog",), ("dog",)]),
        (["Maine_Coon_1", "Maine_Coon_2", "pug1", "pug2"], None, [("Maine_Coon",)] * 2 + [("pug",)] * 2),
        (
            ["8_x51_class0", "9_x1_class0", "8_x2_class1", "1_x2_class1"],
            None,
            [("class0",)] * 2 + [("class1",)] * 2,
        ),
    ],
)
def test_a_hint_gives_a_pattern_that_reads_the_names(names, classes, labels):
    hint = pattern_hint(names)
    pattern = NamePattern(hint.split("data.pattern to '")[1].split("'")[0], classes, None)
    assert [pattern.labels(f"{name}.png") for name in names] == labels


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["IMG_0001", "IMG_0002"],
        ["cat_1", "cat_2", "dog_1"],
        ["a", "b"],
        ["1_01", "2_10"],
        ["0001", "0110"],
    ],
)
def test_no_hint_where_names_tell_nothing(names):
    assert pattern_hint(names) == ""
