from __future__ import annotations

import os
import shutil

import pytest

from swtformer.datasets import open_dataset
from swtformer.datasets.check import check
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
    warning, deeper = data.problems
    assert "1 images lie in folders within the class folders, cat/deep/er/猫.png" in deeper.message
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


def test_links_out_of_the_data_set_are_left_out(tmp_path, write_images):  # fault 61
    write_images(tmp_path / "store", ["a.jpg"])
    write_images(tmp_path / "data" / "dog", ["b.jpg"])
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "dog" / "loop").symlink_to(tmp_path / "data")
    data = open_dataset(tmp_path / "data", AUTO)
    assert present(data) == {"dog/b": (0,)}
    assert "1 links that lead out" in data.problems[0].message


def test_pipes_and_loops_neither_block_nor_break(tmp_path, write_images):  # faults 13, 55
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    os.mkfifo(tmp_path / "dog" / "pipe.jpg")
    os.mkfifo(tmp_path / "dog" / "notes.txt")
    (tmp_path / "dog" / "loop.jpg").symlink_to("loop.jpg")
    data = open_dataset(tmp_path, AUTO)
    assert list(present(data)) == ["cat/a", "dog/b", "dog/loop", "dog/pipe"]
    assert check(data, settings=AUTO).unreadable == 2


def test_a_picture_in_two_class_folders_has_two_labels(tmp_path, write_images):
    write_images(tmp_path, ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "background/4.jpg"])
    shutil.copy(tmp_path / "cat" / "1.jpg", tmp_path / "dog" / "one.jpg")
    shutil.copy(tmp_path / "cat" / "2.jpg", tmp_path / "cat" / "2b.jpg")
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {
        "background/4": (),
        "cat/1": (0, 1),
        "cat/2": (0,),
        "cat/2b": (0,),
        "dog/3": (1,),
    }
    (warning,) = data.problems
    assert "1 pictures lie in several class folders" in warning.message
    assert "cat/1.jpg = dog/one.jpg" in warning.message
    shutil.copy(tmp_path / "background" / "4.jpg", tmp_path / "dog" / "4.jpg")
    with pytest.raises(DataError, match=r"background/4\.jpg and dog/4\.jpg: are the same"):
        open_dataset(tmp_path, AUTO)


@pytest.mark.parametrize("name", ["images", "JPEGImages", "data", "img", "photos", "train_images", "labels"])
def test_a_folder_of_all_images_is_no_class(tmp_path, write_images, name):
    write_images(tmp_path, [f"{name}/a.jpg", f"{name}/b.jpg"])
    with pytest.raises(DataError, match=f"all images lie in {name}, not in folders named"):
        open_dataset(tmp_path, AUTO)
    assert open_dataset(tmp_path, DataSettings(classes=(name,))).classes == (name,)
    write_images(tmp_path, ["background/c.jpg"])
    with pytest.raises(DataError, match="not in folders named after"):
        open_dataset(tmp_path, AUTO)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images/a.jpg", "masks/a.png"], "all images lie in images, masks"),
        (["train/images/a.jpg", "val/images/b.jpg"], "all images lie in images"),
        (["images_001/a.png", "images_002/b.png"], "all images lie in images_001, images_002"),
        (["seg_train/cat/a.png", "seg_test/cat/b.png"], "seg_test, seg_train look like splits"),
        (["images/cat/a.jpg", "images/dog/b.jpg"], "If cat, dog in it are classes"),
        (["PetImages/cat/a.jpg", "PetImages/dog/b.jpg"], "the only folder is PetImages"),
        (["cat/a.jpg", "dog/b.jpg", "gt/a.png", "gt/b.png"], "the folder gt holds files named like"),
        (
            ["train/good/a.png", "test/bent/b.png", "ground_truth/bent/b_mask.png"],
            "test, train look like splits",
        ),
        (["train/cat/a.jpg", "extra/b.jpg"], "train look like splits, but not extra"),
        (
            ["train/cat/a.jpg", "val/cat/b.jpg", "gt/cat/a.png"],
            "train, val look like splits, and gt like masks",
        ),
        (
            ["train/good/1.png", "test/hole/1.png", "ground_truth/hole/1_mask.png"],
            "ground_truth like masks.*`data.masks`. The training images are all good: read the split test",
        ),
        (
            [f"{way}/{name}/a.jpg" for way in ("color", "segmented") for name in ("rust", "scab")],
            "color, segmented all hold the folders rust, scab",
        ),
        (["patient001/a.jpg", "patient002/a.jpg"], "patient001, patient002 look like patients"),
        (["2021-05-03/a.jpg", "20210504/b.jpg"], "2021-05-03, 20210504 look like patients, dates"),
        (["RGB/a.jpg", "NIR/a.jpg"], "NIR, RGB look like patients, dates, bands"),
        (["copy/cat/a.jpg", "copy/dog/b.jpg", "cat/a.jpg", "dog/b.jpg"], "copy holds the folders cat, dog"),
        (["bottle/train/good/a.png", "bottle/test/bad/b.png", "cable/c.png"], "bottle holds the splits test"),
    ],
)
def test_folders_that_are_not_classes(tmp_path, write_images, names, message):
    write_images(tmp_path, names)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, AUTO)
    if names[0] != "train/images/a.jpg":
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path, AUTO, split="val")


@pytest.mark.parametrize(
    "masks",
    [
        ["benign/b (1)_mask.png", "benign/b (1)_mask_1.png", "normal/n (1)_mask.png"],  # BUSI
        ["benign/masks/b (1).png", "normal/gt/n (1)_gt.png"],
    ],
)
def test_masks_among_the_images_of_a_class_are_left_out(tmp_path, write_images, masks):
    write_images(tmp_path, ["benign/b (1).png", "normal/n (1).png", "normal/my_mask.png", *masks])
    data = open_dataset(tmp_path, AUTO)
    assert list(present(data)) == ["benign/b (1)", "normal/my_mask", "normal/n (1)"]
    assert f"{len(masks)} images are taken for masks of others, benign/" in data.problems[0].message


def test_train_is_a_class_among_vehicles(tmp_path, write_images):
    write_images(tmp_path, ["train/a.jpg", "bus/b.jpg", "mask/c.jpg", "bullet_train/d.jpg"])
    assert open_dataset(tmp_path, AUTO).classes == ("bullet_train", "bus", "mask", "train")


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test1"), ("training_set", "test_set"), ("train2017", "val2017")]
)
def test_names_of_splits(tmp_path, write_images, train, test):
    write_images(tmp_path, [f"{train}/cat/a.jpg", f"{test}/cat/b.jpg", f"{test}/dog/c.jpg"])
    data = open_dataset(tmp_path, AUTO)
    assert (data.split, data.classes) == (train, ("cat", "dog"))


def test_splits_with_other_names_and_flat_ones(tmp_path, write_images):
    write_images(tmp_path, ["Train/cat/a.jpg", "Train/dog/b.jpg", "valid/dog/c.jpg", "test/1.jpg"])
    (tmp_path / "meta").mkdir()
    assert open_dataset(tmp_path, AUTO).split == "Train"
    assert open_dataset(tmp_path, AUTO, split="val").split == "valid"
    assert present(open_dataset(tmp_path, AUTO, split="test")) == {"1": None}
    assert len(open_dataset(tmp_path, AUTO, split="all")) == 4


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


def test_file_names_in_another_encoding_harm_no_other_image(tmp_path, write_images):  # faults 24 and 57
    write_images(tmp_path, ["cat/a.jpg", "cat/b.jpg", "dog/c.jpg"])
    os.rename(tmp_path / "cat" / "a.jpg", os.fsencode(tmp_path / "cat") + b"/\xe4.jpg")
    data = open_dataset(tmp_path, AUTO)
    assert [record.id for record in data.records] == ["cat/b", "dog/c"]
    (told,) = (problem.message for problem in data.problems if problem.kind == "file_name")
    assert "cat/\\udce4': the file name is not UTF-8; left out" in told
    assert check(data, settings=AUTO).skipped == 1
    with pytest.raises(DataError, match="the file name is not UTF-8"):
        open_dataset(tmp_path, DataSettings(strict=True))


def test_an_empty_folder_is_refused(tmp_path):  # fault 21
    with pytest.raises(DataError, match="lists no images"):
        open_dataset(tmp_path, DataSettings(format="folder"))


def test_masks_in_the_data_set_are_no_class(tmp_path, write_images, write_mask):
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    write_mask(tmp_path / "truth" / "cat" / "a.png", 1)
    data = open_dataset(tmp_path, DataSettings(masks=tmp_path / "truth"))
    assert data.classes == ("cat", "dog")
    assert [record.mask for record in data.records] == [tmp_path / "truth" / "cat" / "a.png", None]


def test_masks_lie_in_the_same_sub_folders(tmp_path, write_images, write_mask):
    write_images(tmp_path / "photos", ["cat/a.jpg", "dog/b.jpg"])
    write_mask(tmp_path / "truth" / "cat" / "a.png", 1)
    data = open_dataset(tmp_path / "photos", DataSettings(masks=tmp_path / "truth"))
    assert [record.mask for record in data.records] == [tmp_path / "truth" / "cat" / "a.png", None]


class TestFoldersThatMeanNothing:
    def test_their_images_are_background(self, tmp_path, write_images):
        write_images(tmp_path, ["train/good/1.png", "test/good/2.png", "test/hole/3.png"])
        settings = DataSettings(split="test")
        data = open_dataset(tmp_path, settings, reader={"nothing": ("good",)})
        assert (data.classes, present(data)) == (("hole",), {"good/2": (), "hole/3": (0,)})
        assert open_dataset(tmp_path, settings).classes == ("good", "hole")

    def test_so_are_labels_in_file_names(self, tmp_path, write_images):
        write_images(tmp_path, ["good_1.png", "hole_2.png"])
        settings = DataSettings(pattern="^(?P<label>[a-z]+)")
        data = open_dataset(tmp_path, settings, reader={"nothing": ("good",)})
        assert present(data) == {"good_1": (), "hole_2": (0,)}

    @pytest.mark.parametrize("pattern", [None, "^(?P<label>[a-z]+)"])
    def test_a_name_that_is_not_there_is_refused(self, tmp_path, write_images, pattern):
        write_images(tmp_path, ["good/good_1.png", "hole/hole_2.png"])
        settings = DataSettings(pattern=pattern)
        with pytest.raises(DataError, match=r"no label is called 'god' .*Did you mean 'good'"):
            open_dataset(tmp_path, settings, reader={"nothing": ("god",)})


def test_folders_that_differ_in_a_number_alone_are_said(tmp_path, write_images):
    write_images(tmp_path, ["kos01/a.jpg", "kos02/b.jpg"])
    (problem,) = (item for item in open_dataset(tmp_path, AUTO).problems if item.kind == "numbered_folders")
    assert "the folders kos01, kos02, … differ in a number alone" in problem.message
    data = open_dataset(tmp_path, DataSettings(classes=("kos01", "kos02")))
    assert "numbered_folders" not in {item.kind for item in data.problems}
