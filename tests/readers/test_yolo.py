from __future__ import annotations

import itertools
import os
import shutil

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.label_sources import are_of_outlines
from swtformer.settings import DataSettings

AUTO = DataSettings()
BOX = "0.5 0.5 0.2 0.2"
OUTLINE = "0.1 0.1 0.9 0.1 0.9 0.9"


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def present(data):
    return {record.id: record.present for record in data.records}


@pytest.fixture
def ultralytics(tmp_path, write_images):
    """Ultralytics' layout: a shows a dog, b cat and dog, c nothing, d has no file; e is for validation."""
    write_images(tmp_path / "images" / "train", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    write_images(tmp_path / "images" / "val", ["e.jpg"])
    write(tmp_path / "labels" / "train" / "a.txt", f"1 {BOX}\n1 {BOX}\n")
    write(tmp_path / "labels" / "train" / "b.txt", f"1 {BOX}\r\n\r\n0 {BOX}")
    write(tmp_path / "labels" / "train" / "c.txt", "")
    write(tmp_path / "labels" / "val" / "e.txt", f"0 {BOX}\n")
    write(
        tmp_path / "data.yaml",
        "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n  2: ape\n",
    )
    return tmp_path


def test_ultralytics_layout(ultralytics):
    data = open_dataset(ultralytics, AUTO)
    assert (data.format, data.split, data.classes) == ("yolo", "train", ("cat", "dog", "ape"))
    assert present(data) == {"a": (1,), "b": (0, 1), "c": (), "d": ()}
    assert "1 of 4 images have no file of YOLO labels" in data.problems[0].message
    assert "count as background only" in data.problems[0].message
    assert present(open_dataset(ultralytics / "data.yaml", AUTO, split="valid")) == {"e": (0,)}
    assert len(open_dataset(ultralytics, AUTO, split="all")) == 5
    assert not are_of_outlines(data.labels_from)
    left_out = open_dataset(ultralytics, AUTO, reader={"without_file": "leave_out"})
    assert list(present(left_out)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "path: ../datasets/pets\ntrain: images/train\nval: images/val\n",
        "path: /content/datasets/pets\ntrain: images/train\nval: images/val\n",
        "train: /home/eva/pets/images/train\nval: C:\\Users\\eva\\pets\\images\\val\n",
        "train: ./images/train/\nval: [images/val]\ntest:\n",
        "train: train.txt\nval: ../val.txt\n",
    ],
)
@pytest.mark.parametrize(
    "names", ["names: [cat, dog]", "names: {0: cat, '1': dog}", "nc: 2\nnames:\n- cat\n- dog"]
)
def test_paths_of_other_machines_and_ways_to_write_names(ultralytics, text, names):
    write(ultralytics / "data.yaml", text + names)
    write(ultralytics / "train.txt", "".join(f"./images/train/{name}.jpg\n" for name in "abcd"))
    write(ultralytics / "val.txt", "/data/pets/images/val/e.jpg\n")
    assert list(present(open_dataset(ultralytics, AUTO, split="val")).values()) == [(0,)]
    data = open_dataset(ultralytics, AUTO)
    assert present(data) == {"a": (1,), "b": (0, 1), "c": (), "d": ()}


def test_roboflow_layout(tmp_path, write_images):
    for split, name in (("train", "a"), ("valid", "b")):
        write_images(tmp_path / split / "images", [f"{name}.jpg"])
        write(tmp_path / split / "labels" / f"{name}.txt", f"0 {OUTLINE}\n")
    write(tmp_path / "README.roboflow.txt", "a.jpg")
    write(
        tmp_path / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['crack']\n",
    )
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,)}
    assert are_of_outlines(data.labels_from)
    assert "test: '../test/images' is not in" in data.problems[0].message
    assert present(open_dataset(tmp_path, AUTO, split="val")) == {"b": (0,)}


def test_one_folder_for_all_splits_has_one_set(ultralytics):
    write(ultralytics / "data.yaml", "train: images\nval: images\nnames: [cat, dog]\n")
    data = open_dataset(ultralytics, AUTO)
    assert list(present(data)) == ["train/a", "train/b", "train/c", "train/d", "val/e"]


@pytest.mark.parametrize("source", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_without_data_yaml(ultralytics, source):  # Label Studio, CVAT
    (ultralytics / "data.yaml").unlink()
    write(ultralytics / source, "cat\ndog\n")
    data = open_dataset(ultralytics, AUTO)
    assert data.classes == ("cat", "dog")
    assert present(data) == {"a": (1,), "b": (0, 1), "c": (), "d": ()}
    write(ultralytics / "names.txt", "dog\ncat\n")
    with pytest.raises(DataError, match="name different classes"):
        open_dataset(ultralytics, AUTO)


def test_labels_beside_the_images(tmp_path, write_images):  # LabelImg, darknet
    write_images(tmp_path, ["obj_train_data/a.jpg", "obj_train_data/b.jpg"])
    write(tmp_path / "obj_train_data" / "a.txt", f"0 {BOX} 0.97\n")
    write(tmp_path / "obj_train_data" / "b.txt", "")
    write(tmp_path / "obj.names", "cat\n")
    write(tmp_path / "train.txt", "data/obj_train_data/b.jpg\n")
    assert present(open_dataset(tmp_path, AUTO)) == {"obj_train_data/b": ()}


def test_class_names_can_be_given(ultralytics):
    (ultralytics / "data.yaml").unlink()
    with pytest.raises(DataError, match="nothing names them"):
        open_dataset(ultralytics, AUTO)
    assert present(open_dataset(ultralytics, DataSettings(classes=("cat", "dog")))) == {
        "a": (1,),
        "b": (0, 1),
        "c": (),
        "d": (),
    }


def test_background_is_no_class(ultralytics):
    write(ultralytics / "data.yaml", "train: images/train\nnames: [background, dog]\n")
    data = open_dataset(ultralytics, AUTO)
    assert data.classes == ("dog",)
    assert present(data) == {"a": (0,), "b": (0,), "c": (), "d": ()}
    assert "'background' means background" in " ".join(problem.message for problem in data.problems)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"3 {BOX}", r"a\.txt:2: class number 3 has no name; data\.yaml names 0 to 2"),
        (f"-1 {BOX}", r"a\.txt:2: class number -1 has no name"),
        (f"1.5 {BOX}", r"a\.txt:2: expected a class number"),
        ("1 0.5 0.5", r"a\.txt:2: expected a class number"),
        (f"cat {BOX}", r"a\.txt:2: expected a class number"),
        ("1 nan 0.5 0.2 0.2", r"a\.txt:2: expected a class number"),
        ("1 120 80 40 40", r"a\.txt:2: expected fractions"),
    ],
)
def test_lines_that_are_not_of_yolo(ultralytics, line, message):
    write(ultralytics / "labels" / "train" / "a.txt", f"0 {BOX}\n{line}\n")
    with pytest.raises(DataError, match=message):
        open_dataset(ultralytics, AUTO)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat\ntrain: x", r"data\.yaml: line \d+: is not valid YAML"),
        ("train: images/train\nnames: 3", "expected names as a list"),
        ("train: images/train\nnames: [cat, no]", "write names in quotes"),
        (f"train: images/train\nnames: [0x{'f' * 9000}]", "a value of type int is not a class"),
        ("train: images/train\nnames: {a: cat}", "expected the number of the class 'cat'"),
        ("train: images/train\nnames: [cat, cat]", "names the class 'cat' twice"),
        ("train: images/train\nnc: 5\nnames: [cat, dog]", "says nc: 5, but names has 2"),
        ("train: images/other\nnames: [cat, dog]", "train: 'images/other' is not in"),
        ("train: train/images\nnames: [cat, dog]", "train: 'train/images' is not in"),
        ("train: ../../../etc\nnames: [cat, dog]", r"train: '\.\./\.\./\.\./etc' is not in"),
        ("train: [3]\nnames: [cat, dog]", "expected folders of images in train, got 3"),
        ("train: {a: b}\nnames: [cat, dog]", "expected folders of images in train, got a value of type dict"),
        ("train: labels\nnames: [cat, dog]", "train: 'labels' holds no images"),
        (
            "train: list.txt\nnames: [cat, dog]",
            r"list\.txt: 1 of the images .* are missing, '\.\./secret\.jpg'",
        ),
    ],
)
def test_descriptions_that_cannot_be_used(ultralytics, text, message):
    write(ultralytics / "data.yaml", text)
    write(ultralytics / "list.txt", "../secret.jpg\n")
    with pytest.raises(DataError, match=message):
        open_dataset(ultralytics, AUTO)


@pytest.mark.parametrize(
    "place", ["names: *z", "names: [*z]", "names: [cat]\nval: *z", "names: [cat]\npath: *z"]
)
def test_references_are_not_written_out(ultralytics, place):
    levels = "".join(
        f"{a}: &{a} [{', '.join([f'*{b}'] * 9)}]\n" for b, a in itertools.pairwise("abcdefghijz")
    )
    write(ultralytics / "data.yaml", f"a: &a [lol]\n{levels}train: images/train\n{place}\n")
    with pytest.raises(DataError, match=r"data\.yaml"):
        open_dataset(ultralytics, AUTO)


def test_a_split_without_any_label_file_is_refused(ultralytics):
    shutil.rmtree(ultralytics / "labels" / "val")
    with pytest.raises(DataError, match="no image of val has a file of YOLO labels"):
        open_dataset(ultralytics, AUTO, split="val")
    unknown = open_dataset(ultralytics, AUTO, split="val", reader={"without_file": "unknown"})
    assert present(unknown) == {"e": None}


def test_most_images_are_not_background_unless_said(ultralytics, write_images):
    write_images(ultralytics / "images" / "train", ["x.jpg", "y.jpg", "z.jpg"])
    with pytest.raises(DataError, match=r"4 of 7 images have no file of YOLO labels .*; set"):
        open_dataset(ultralytics, AUTO)
    data = open_dataset(ultralytics, AUTO, reader={"without_file": "background"})
    assert list(present(data).values()).count(()) == 5


def test_label_files_without_an_image_are_told(ultralytics):
    write(ultralytics / "labels" / "train" / "z.txt", f"0 {BOX}\n")
    write(ultralytics / "labels" / "notes.txt", "mine")
    messages = [problem.message for problem in open_dataset(ultralytics, AUTO).problems]
    assert any(
        "1 files of YOLO labels (data.yaml) belong to no image, labels/train/z.txt" in text
        for text in messages
    )


def test_several_descriptions(ultralytics):
    (ultralytics / "data.yaml").rename(ultralytics / "one.yaml")
    shutil.copy(ultralytics / "one.yaml", ultralytics / "two.yaml")
    with pytest.raises(DataError, match=r"give the path of one: one\.yaml, two\.yaml"):
        recognise(ultralytics)
    assert len(open_dataset(ultralytics / "two.yaml", AUTO)) == 4


def test_a_data_set_in_a_folder_of_its_own(ultralytics, tmp_path_factory):
    above = tmp_path_factory.mktemp("unpacked")
    shutil.copytree(ultralytics, above / "pets")
    assert present(open_dataset(above, AUTO)) == {"a": (1,), "b": (0, 1), "c": (), "d": ()}
    shutil.copytree(ultralytics, above / "more")
    with pytest.raises(DataError, match="give the path of one: more, pets"):
        open_dataset(above, AUTO)


def test_pipes_and_loops(ultralytics):  # faults 13, 55
    os.mkfifo(ultralytics / "images" / "train" / "pipe.jpg")
    os.mkfifo(ultralytics / "pipe.yaml")
    (ultralytics / "images" / "train" / "loop").symlink_to(ultralytics)
    assert len(open_dataset(ultralytics, AUTO)) == 5
    os.mkfifo(ultralytics / "labels" / "train" / "d.txt")
    with pytest.raises(DataError, match=r"d\.txt: is not a regular file"):
        open_dataset(ultralytics, AUTO)


def test_boxes_with_a_confidence_are_said(tmp_path, write_images):
    write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    (tmp_path / "labels").mkdir()
    for name, line in (("a", "0 .5 .5 .1 .1 0.04"), ("b", "1 .5 .5 .1 .1 0.9")):
        (tmp_path / "labels" / f"{name}.txt").write_text(f"{line}\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,), "b": (1,)}
    (message,) = (problem.message for problem in data.problems if problem.kind == "scored_boxes")
    assert "a.txt:1: has a sixth number, such as the confidence of a prediction" in message
