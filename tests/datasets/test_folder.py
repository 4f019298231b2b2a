from __future__ import annotations

import os

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


def present(data):
    return {record.id: record.present for record in data.records}


def test_one_folder_per_class(tmp_path, write_images):
    write_images(
        tmp_path, ["dog/b 1.JPG", "cat/deep/er/猫.png", "cat/a.webp", "background/x.jpg", ".cache/y.jpg"]
    )
    (tmp_path / "cat" / "._a.jpg").write_bytes(b"resource fork")
    (tmp_path / "cat" / "notes.txt").write_text("mine")
    data = open_dataset(tmp_path, AUTO)
    assert (data.format, data.split, data.name) == ("folder", None, tmp_path.name)
    assert data.classes == ("cat", "dog")
    assert present(data) == {"background/x": (), "cat/a": (0,), "cat/deep/er/猫": (0,), "dog/b 1": (1,)}
    assert data.labels_from == "folder names"
    (warning,) = data.problems
    assert warning.kind == "ignored_file"
    assert "1 files are ignored" in warning.message
    assert "the first is 'notes.txt'" in warning.message


@pytest.mark.parametrize("name", ["background", "None", "_background_"])
def test_one_class_and_background(tmp_path, write_images, name):
    write_images(tmp_path, ["crack/a.jpg", f"{name}/b.jpg"])
    data = open_dataset(tmp_path, AUTO)
    assert data.classes == ("crack",)
    assert data.labels().sum() == 1


def test_images_alone_are_unlabelled(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.png"])
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": None, "b": None}
    assert (data.classes, data.labels_from) == ((), "none")
    assert open_dataset(tmp_path, DataSettings(classes=("cat",))).classes == ("cat",)


def test_top_folders_can_be_splits(tmp_path, write_images):
    write_images(tmp_path, ["train/cat/a.jpg", "train/dog/b.jpg", "val/cat/a.jpg", "val/ape/c.jpg"])
    train, val = open_dataset(tmp_path, AUTO), open_dataset(tmp_path, AUTO, split="val")
    assert train.classes == val.classes == ("ape", "cat", "dog")
    assert (train.split, train.name) == ("train", f"{tmp_path.name}/train")
    assert present(train) == {"cat/a": (1,), "dog/b": (2,)}
    assert present(val) == {"ape/c": (0,), "cat/a": (1,)}
    assert [p.kind for p in val.problems] == ["class_without_images"]  # fault 20
    everything = open_dataset(tmp_path, AUTO, split="all")
    assert list(present(everything)) == ["train/cat/a", "train/dog/b", "val/ape/c", "val/cat/a"]
    with pytest.raises(DataError, match=r"'vall'\. Did .*'val'.* are: train, val"):
        open_dataset(tmp_path, AUTO, split="vall")


def test_a_folder_without_splits_says_so(tmp_path, write_images):
    write_images(tmp_path, ["cat/a.jpg"])
    with pytest.raises(DataError, match="has no splits"):
        open_dataset(tmp_path, AUTO, split="val")


def test_linked_folders_are_followed_once(tmp_path, write_images):
    write_images(tmp_path / "store", ["a.jpg"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "data")
    assert present(open_dataset(tmp_path / "data", AUTO)) == {"cat/a": (0,)}


def test_classes_of_the_settings_and_of_a_file(tmp_path, write_images):  # fault 16
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    assert present(open_dataset(tmp_path, DataSettings(classes=("dog", "cat")))) == {
        "cat/a": (1,),
        "dog/b": (0,),
    }
    (tmp_path / "classes.txt").write_text("dog\ncut\n")
    with pytest.raises(DataError, match=r"cat/a\.jpg: unknown class 'cat'.*'cut'"):
        open_dataset(tmp_path, AUTO)


def test_images_beside_class_folders_are_refused(tmp_path, write_images):
    write_images(tmp_path, ["cat/a.jpg", "b.jpg"])
    with pytest.raises(DataError, match=r"b\.jpg: lies beside the class folders"):
        open_dataset(tmp_path, AUTO)


def test_two_images_with_one_output_name_are_refused(tmp_path, write_images):  # fault 23
    write_images(tmp_path, ["cat/a.jpg", "cat/a.png"])
    with pytest.raises(DataError, match=r"'a\.png' and 'a\.jpg' .* name 'cat/a'"):
        open_dataset(tmp_path, AUTO)


def test_file_names_in_another_encoding_are_refused(tmp_path, write_images):  # fault 24
    write_images(tmp_path, ["cat/a.jpg"])
    os.rename(tmp_path / "cat" / "a.jpg", os.fsencode(tmp_path / "cat") + b"/\xe4.jpg")
    with pytest.raises(DataError, match=r"cat/\\udce4': the file name is not UTF-8"):
        open_dataset(tmp_path, AUTO)


def test_an_empty_folder_is_refused(tmp_path):  # fault 21
    with pytest.raises(DataError, match="lists no images"):
        open_dataset(tmp_path, DataSettings(format="folder"))


def test_masks_lie_in_the_same_sub_folders(tmp_path, write_images, write_mask):
    write_images(tmp_path / "photos", ["cat/a.jpg", "dog/b.jpg"])
    write_mask(tmp_path / "truth" / "cat" / "a.png", 1)
    data = open_dataset(tmp_path / "photos", DataSettings(masks=tmp_path / "truth"))
    assert [record.mask for record in data.records] == [tmp_path / "truth" / "cat" / "a.png", None]
