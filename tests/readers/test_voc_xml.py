from __future__ import annotations

import os

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


def write_xml(file, *names, filename="x.jpg"):
    objects = "".join(
        f"<object><name> {name}</name><difficult>1</difficult><part><name>head</name></part>"
        "<bndbox><xmin>1</xmin></bndbox></object>"
        for name in names
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation verified='yes'><filename>{filename}</filename>{objects}</annotation>")


def present(data):
    return {record.id: record.present for record in data.records}


def test_files_beside_the_images(tmp_path, write_images):  # LabelImg
    write_images(tmp_path, ["a.jpg", "b.JPG", "deep/c.png"])
    write_xml(tmp_path / "a.xml", "dog", "cat", "dog")
    write_xml(tmp_path / "b.xml")
    write_xml(tmp_path / "deep" / "c.XML", "cat")
    data = open_dataset(tmp_path, AUTO)
    assert (data.format, data.split, data.classes) == ("voc-xml", None, ("cat", "dog"))
    assert present(data) == {"a": (0, 1), "b": (), "deep/c": (0,)}
    assert data.labels_from == "categories in VOC XML"


@pytest.mark.parametrize(
    "folders", [("images", "annotations"), ("imgs", "annotations/xmls"), ("JPEGImages", "xml")]
)
def test_files_in_a_folder_of_their_own(tmp_path, write_images, folders):  # Kaggle
    write_images(tmp_path / folders[0], ["a.png", "b.png"])
    write_images(tmp_path / "annotations" / "trimaps", ["a.png"])
    for name in ("a", "b"):
        write_xml(tmp_path / folders[1] / f"{name}.xml", name)
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,), "b": (1,)}
    assert "1 images are taken for masks, annotations/trimaps/a.png" in data.problems[0].message


def test_folders_of_splits(tmp_path, write_images):  # Roboflow
    for split, name in (("train", "a"), ("valid", "b"), ("test", "c")):
        write_images(tmp_path / split, [f"{name}.jpg"])
        write_xml(tmp_path / split / f"{name}.xml", name)
    assert present(open_dataset(tmp_path, AUTO)) == {"a": (0,)}
    assert present(open_dataset(tmp_path, AUTO, split="val")) == {"b": (1,)}
    assert list(present(open_dataset(tmp_path, AUTO, split="all"))) == ["test/c", "train/a", "valid/b"]
    assert open_dataset(tmp_path, AUTO).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("without_file", "expected"),
    [("unknown", {"a": (0,), "b": None}), ("background", {"a": (0,), "b": ()}), ("leave_out", {"a": (0,)})],
)
def test_images_without_a_file(tmp_path, write_images, without_file, expected):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_xml(tmp_path / "a.xml", "cat")
    data = open_dataset(tmp_path, AUTO, reader={"without_file": without_file})
    assert present(data) == expected
    assert "1 of 2 images have no file of VOC XML, b.jpg first" in data.problems[0].message


def test_a_file_anywhere_of_the_only_such_name(tmp_path, write_images):
    write_images(tmp_path / "photographs", ["a.jpg"])
    write_xml(tmp_path / "labelled by Eva" / "a.xml", "cat")
    write_xml(tmp_path / "labelled by Eva" / "z.xml", "cat")
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"photographs/a": (0,)}
    messages = [problem.message for problem in data.problems]
    assert "1 images are paired with files by name alone, photographs/a.jpg with labelled" in messages[0]
    assert "1 files of VOC XML belong to no image, labelled by Eva/z.xml" in messages[1]


def test_names_that_occur_twice_are_not_enough(tmp_path, write_images):
    write_images(tmp_path, ["train/1.jpg", "train/2.jpg", "val/1.jpg"])
    write_xml(tmp_path / "train" / "2.xml", "cat")
    write_xml(tmp_path / "test" / "1.xml", "dog")
    assert present(open_dataset(tmp_path, AUTO, split="all")) == {
        "train/1": None,
        "train/2": (0,),
        "val/1": None,
    }


def test_background_is_no_class(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_xml(tmp_path / "a.xml", "Background", "cat")
    write_xml(tmp_path / "b.xml", "_background_")
    data = open_dataset(tmp_path, AUTO)
    assert data.classes == ("cat",)
    assert present(data) == {"a": (0,), "b": ()}
    assert data.problems[0].kind == "background"


def test_deleted_objects_do_not_count(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg"])
    (tmp_path / "a.xml").write_text(
        "<annotation><object><name>cat</name><deleted>0</deleted></object>"
        "<object><deleted>1</deleted><name>dog</name></object><object><name/></object></annotation>"
    )
    assert open_dataset(tmp_path, AUTO).classes == ("cat",)


def test_ground_truth_masks_are_no_images(tmp_path, write_images, monkeypatch):
    write_images(tmp_path, ["a.jpg", "truth/a.png"])
    write_xml(tmp_path / "a.xml", "cat")
    monkeypatch.chdir(tmp_path.parent)
    settings = DataSettings(masks=tmp_path.relative_to(tmp_path.parent) / "truth")
    (record,) = open_dataset(tmp_path, settings).records
    assert (record.id, record.mask.name) == ("a", "a.png")


def test_images_elsewhere(tmp_path, write_images):
    write_images(tmp_path / "photos", ["a.jpg"])
    write_xml(tmp_path / "xml" / "a.xml", "cat")
    settings = DataSettings(images=tmp_path / "photos")
    assert present(open_dataset(tmp_path / "xml", settings)) == {"a": (0,)}


def test_files_that_cannot_be_used(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "c.png"])
    for name in ("a", "c"):
        write_xml(tmp_path / f"{name}.xml", "cat")
    (tmp_path / "b.xml").write_text("<annotation><object>")
    with pytest.raises(DataError, match=r"b\.xml:1: is incomplete") as error:
        open_dataset(tmp_path, AUTO)
    assert r"c.jpg, c.png and c.xml have one name" in str(error.value)
    (tmp_path / "b.xml").write_text("<other/>")
    with pytest.raises(DataError, match=r"not a file of Pascal VOC: its root is <other>"):
        open_dataset(tmp_path, AUTO)


def test_no_file_fits(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg"])
    write_xml(tmp_path / "z.xml", "cat")
    with pytest.raises(DataError, match="no image has a file of VOC XML"):
        open_dataset(tmp_path, AUTO)


def test_pipes_and_loops(tmp_path, write_images):  # faults 13, 55
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_xml(tmp_path / "a.xml", "cat")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert recognise(tmp_path) == "voc-xml"
    assert len(open_dataset(tmp_path, AUTO)) == 4
    os.mkfifo(tmp_path / "b.xml")
    with pytest.raises(DataError, match=r"b\.xml: is not a regular file"):
        open_dataset(tmp_path, AUTO)
