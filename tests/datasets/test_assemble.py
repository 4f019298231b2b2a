"""The rules that every format shares, tried through tables."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()

CLEAN = "image,labels\na.jpg,cat\nb.jpg,cat;dog\nc.jpg,\n"


def labels_of(data):
    return {
        record.id: None if record.present is None else [data.classes[index] for index in record.present]
        for record in data.records
    }


def test_unknown_class_names_line_and_nearest(photos):  # fault 16
    (photos / "labels.csv").write_text("image,labels\na.jpg,cat\n\nb.jpg,cat;dgo\n")
    with pytest.raises(DataError, match=r"csv:4: unknown class 'dgo'.*'dog'"):
        open_dataset(photos, DataSettings(classes=("cat", "dog")))


def test_equal_duplicates_are_merged_with_a_warning(photos):  # fault 17
    (photos / "labels.csv").write_text("image,labels\na.jpg,cat;dog\nb.jpg,\na,dog;cat\n")
    data = open_dataset(photos, AUTO)
    assert labels_of(data) == {"a": ["cat", "dog"], "b": []}
    (warning,) = data.problems
    assert (warning.kind, warning.fatal, warning.id) == ("duplicate", False, "a")
    assert "labels.csv:4: 'a' is listed again" in warning.message


def test_many_duplicates_and_missing_masks_are_told_in_one_line(photos, write_mask):
    (photos / "labels.csv").write_text("image,labels\n" + "a.jpg,cat\n" * 8 + "b.jpg,dog\n")
    (warning,) = open_dataset(photos, AUTO).problems
    assert "csv:3: 'a' is listed again" in warning.message
    assert warning.message.endswith("So are 7 rows.")
    names = [f"{number}.jpg" for number in range(8)]
    for name in names:
        (photos / "images" / name).write_bytes((photos / "images" / "a.jpg").read_bytes())
    (photos / "labels.csv").write_text(
        "image,cat,dog\n" + "".join(f"{name},1,0\n" for name in [*names, "a.jpg"])
    )
    write_mask(photos / "truth" / "a.png", 1)
    data = open_dataset(photos, DataSettings(masks=photos / "truth"))
    (message,) = [problem.message for problem in data.problems if problem.kind == "missing_mask"]
    assert message.endswith("0.png: no such mask; the image is not scored. So are those of 8 images.")


@pytest.mark.parametrize("count", [1, 8])
def test_masks_in_another_case_are_told(photos, write_mask, count):
    for number in range(count):
        (photos / "images" / f"X{number}.jpg").write_bytes((photos / "images" / "a.jpg").read_bytes())
        write_mask(photos / "truth" / f"x{number}_mask.png", 1)
    (photos / "labels.csv").write_text(
        "image,labels\n" + "".join(f"X{number}.jpg,cat\n" for number in range(count))
    )
    data = open_dataset(photos, DataSettings(masks=photos / "truth"))
    (message,) = [problem.message for problem in data.problems if problem.kind == "other_case"]
    assert message.startswith(f"{photos / 'truth' / 'x0_mask.png'}: is taken to be the mask of 'X0'.")
    assert message.endswith("So are those of 8 images.") == (count == 8)


def test_different_duplicates_are_refused(photos):  # fault 17
    (photos / "labels.csv").write_text("image,labels\na.jpg,cat\na.jpg,dog\n")
    with pytest.raises(DataError, match=r"csv:3: 'a' .* 'dog', but 'cat' at .*csv:2"):
        open_dataset(photos, AUTO)


def test_missing_images_are_left_out_and_named(photos):  # fault 18
    (photos / "labels.csv").write_text(
        "image,labels\na.jpg,cat\n" + "".join(f"m{i}.jpg,cat\n" for i in range(7))
    )
    data = open_dataset(photos, AUTO)
    assert labels_of(data) == {"a": ["cat"]}
    assert [(p.kind, p.fatal, p.id) for p in data.problems] == [
        ("missing_image", False, f"m{i}") for i in range(7)
    ]
    assert "labels.csv:3: image 'm0' is missing" in data.problems[0].message
    with pytest.raises(DataError, match=r"7 of 8 images .*m0 \(.*m4 \(\S+:7\), …") as error:
        open_dataset(photos, DataSettings(strict=True))
    assert "m5" not in str(error.value)


def test_all_images_missing_is_refused(photos):  # fault 18
    (photos / "labels.csv").write_text("image,labels\nx.jpg,cat\n")
    with pytest.raises(DataError, match="1 of 1 images are missing"):
        open_dataset(photos, AUTO)


@pytest.mark.parametrize("text", ["", "\n\n", "image,labels\n", "\ufeffimage,labels\r\n\r\n"])
def test_empty_tables_are_refused(photos, text):  # fault 21
    (photos / "labels.csv").write_text(text)
    with pytest.raises(DataError, match="lists no images"):
        open_dataset(photos, AUTO)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../x.jpg", r"csv:3: .*'\.\./\.\./x\.jpg' leaves"),
        ("x\0.jpg", r"labels\.csv:3: image name 'x\\x00\.jpg' holds a NUL character"),
    ],
)
def test_names_that_leave_the_folder_are_refused(photos, write_images, name, message):  # faults 22, 24
    write_images(photos.parent, ["x.jpg"])
    (photos / "labels.csv").write_text(f"image,labels\na.jpg,cat\n{name},cat\n")
    with pytest.raises(DataError, match=message):
        open_dataset(photos, AUTO)


def test_two_images_with_one_output_name_are_refused(photos, write_images):  # fault 23
    write_images(photos / "images", ["a.png"])
    (photos / "labels.csv").write_text("image,labels\na.jpg,cat\na.png,cat\n")
    with pytest.raises(DataError, match=r"'a\.png' and 'a\.jpg' .* output name 'a'"):
        open_dataset(photos, AUTO)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["labels.npy", "labels.npz", "labels.pkl", "labels.csv", "classes.txt"])
def test_pickles_are_never_executed(photos, name):  # fault 25
    (photos / "labels.csv").write_text(CLEAN)
    (photos / name).write_bytes(pickle.dumps(Bomb(photos / "executed")))
    pickle.loads((photos / name).read_bytes())
    assert (photos / "executed").exists(), "the bomb must work for this test to mean anything"
    (photos / "executed").unlink()
    path = photos / name if name.startswith("labels") else photos / "labels.csv"
    with pytest.raises(DataError, match=r"may hold pickles|not UTF-8 text"):
        open_dataset(path, AUTO)
    assert not (photos / "executed").exists()


def test_label_arrays_beside_a_table_are_not_opened(photos):  # fault 25
    (photos / "labels.csv").write_text(CLEAN)
    (photos / "cls_labels.npy").write_bytes(pickle.dumps(Bomb(photos / "executed")))
    assert len(open_dataset(photos, AUTO)) == 3
    assert not (photos / "executed").exists()


def test_all_problems_are_listed_at_once(photos):
    rows = "a.jpg,cat\na.jpg,dog\n../x.jpg,cat\nb.jpg,horse\nc.jpg,cat,dog\n,cat\n"
    (photos / "labels.csv").write_text("image,labels\n" + rows)
    with pytest.raises(DataError, match="5 problems to fix first") as error:
        open_dataset(photos, DataSettings(classes=("cat", "dog")))
    for line, text in (
        (3, "'a' has the labels"),
        (4, "leaves"),
        (5, "'horse'"),
        (6, "has 3 cells"),
        (7, "no image"),
    ):
        assert f"labels.csv:{line}: " in str(error.value)
        assert text in str(error.value)
    assert len(error.value.problems) == 5


@pytest.mark.parametrize("count", [254, 255])
def test_more_classes_than_a_mask_can_hold_are_refused(photos, count):
    names = ";".join(f"class {number}" for number in range(count))
    (photos / "labels.csv").write_text(f"image,labels\na.jpg,{names}\n")
    if count == 254:
        assert len(open_dataset(photos, AUTO).classes) == count
    else:
        with pytest.raises(DataError, match="has 255 classes; expected 254 at most"):
            open_dataset(photos, AUTO)
