from __future__ import annotations

import os
import zipfile

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.label_sources import are_of_outlines
from swtformer.settings import DataSettings

AUTO = DataSettings()
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>\n'
META = (
    "<meta><task><name>t</name><labels>"
    "<label><name>dog</name><attributes><attribute><name>age</name></attribute></attributes></label>"
    "<label><name>cat</name></label><label><name>nose</name><parent>dog</parent></label>"
    "<label><name>background</name></label></labels></task></meta>\n"
)
IMAGES = (
    '<image id="0" name="a.jpg" width="8"><tag label="cat" source="manual"/><tag label="dog"/></image>\n'
    '<image id="1" name="b.jpg"><box label="dog"><attribute name="age">3</attribute></box></image>\n'
    '<image id="2" name="c.jpg"></image>\n'
    '<image id="3" name="d.jpg"><tag label="background"/></image>\n'
)


def write(file, images=IMAGES, meta=META):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{HEAD}{meta}{images}</annotations>")


def present(data):
    return {record.id: record.present for record in data.records}


def test_tags_and_shapes(photos):
    write(photos / "annotations.xml")
    for path in (photos, photos / "annotations.xml"):
        data = open_dataset(path, AUTO)
        assert (data.format, data.split, data.classes) == ("cvat", None, ("dog", "cat"))
        assert present(data) == {"a": (0, 1), "b": (0,), "c": None, "d": ()}
        assert data.records[1].source == f"{photos / 'annotations.xml'}:5"
        assert not are_of_outlines(data.labels_from)
        messages = [problem.message for problem in data.problems]
        assert (
            "1 of 4 images have neither tags nor shapes, c.jpg first; their labels are not known"
            in messages[0]
        )
        assert "'background' means background" in messages[1]


def test_images_without_tags_and_shapes_can_be_background(photos):
    """CVAT lists all images of a task, whether anybody looked at them or not."""
    write(photos / "annotations.xml")
    data = open_dataset(photos, AUTO, reader={"empty": "background"})
    assert present(data)["c"] == ()
    assert "c.jpg first; they count as background only (reader.empty)" in data.problems[0].message
    assert present(open_dataset(photos, AUTO, reader={"empty": "leave_out"})) == {
        "a": (0, 1),
        "b": (0,),
        "d": (),
    }


def test_without_meta_the_classes_are_those_found(photos):
    write(
        photos / "annotations.xml", IMAGES.replace("<box", "<polygon").replace("/box>", "/polygon>"), meta=""
    )
    data = open_dataset(photos, AUTO)
    assert data.classes == ("cat", "dog")
    assert are_of_outlines(data.labels_from)


def test_subsets_are_splits(photos):
    images = IMAGES.replace('id="0"', 'id="0" subset="Validation"').replace('id="1"', 'id="1" subset="Train"')
    write(photos / "annotations.xml", images)
    assert present(open_dataset(photos, AUTO)) == {"b": (0,)}
    assert present(open_dataset(photos, AUTO, split="val")) == {"a": (0, 1)}
    assert len(open_dataset(photos, AUTO, split="all")) == 4


def test_images_of_a_project_lie_in_folders_of_subsets(tmp_path, write_images):
    write_images(tmp_path / "images" / "Train", ["a.jpg"])
    write_images(tmp_path / "images" / "Test", ["a.jpg"])
    images = '<image id="0" name="a.jpg" subset="{}"><tag label="{}"/></image>'
    write(tmp_path / "annotations.xml", images.format("Train", "cat") + images.format("Test", "dog"))
    assert present(open_dataset(tmp_path, AUTO)) == {"Train/a": (1,)}
    assert present(open_dataset(tmp_path, AUTO, split="all")) == {"Train/a": (1,), "Test/a": (0,)}


def test_zip_files_are_read_in_place(photos):
    with zipfile.ZipFile(photos / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", HEAD + META + IMAGES + "</annotations>")
    data = open_dataset(photos / "task.zip", AUTO)
    assert present(data)["a"] == (0, 1)
    assert data.records[1].source == f"{photos / 'task.zip'}: annotations.xml:5"
    assert sorted(item.name for item in photos.iterdir()) == ["images", "task.zip"]


def test_images_in_a_zip_file_must_be_unpacked(tmp_path, write_images):
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.writestr("annotations.xml", HEAD + META + IMAGES + "</annotations>")
        archive.writestr("images/a.jpg", b"jpg")
    with pytest.raises(DataError, match="the images are in the zip file"):
        open_dataset(tmp_path / "task.zip", AUTO)
    write_images(tmp_path / "photos", ["a.jpg"])
    assert list(present(open_dataset(tmp_path / "task.zip", DataSettings(images=tmp_path / "photos")))) == [
        "a"
    ]


def test_names_that_lead_out_are_refused(photos):  # fault 22
    write(photos / "annotations.xml", '<image id="0" name="../x.jpg"><tag label="cat"/></image>')
    with pytest.raises(DataError, match=r"annotations\.xml:4: image name .* leaves"):
        open_dataset(photos, AUTO)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}{IMAGES}", r"annotations\.xml:\d+: is incomplete"),
        (f"{HEAD}</annotations>", "names no images"),
        (f'{HEAD}<track id="0" label="cat"><box frame="0"/></track></annotations>', "tracks of a video"),
        (f'{HEAD}<image id="0" name="a.jpg"/></annotations>', "none of its 1 images has a tag"),
        (f'<!DOCTYPE a [<!ENTITY b "c">]>{HEAD[39:]}{IMAGES}</annotations>', "has a document type"),
    ],
)
def test_files_that_cannot_be_used(photos, content, message):
    (photos / "annotations.xml").write_text(content)
    with pytest.raises(DataError, match=message):
        open_dataset(photos, AUTO)


def test_several_files(photos):
    write(photos / "one.xml")
    write(photos / "two.xml")
    with pytest.raises(DataError, match=r"has several: one\.xml, two\.xml; give the path"):
        open_dataset(photos, AUTO)


def test_damaged_zip_files_and_pipes(photos):
    (photos / "task.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match="not a data set of a known format"):
        recognise(photos / "task.zip")
    with pytest.raises(DataError, match="expected one file of CVAT"):
        open_dataset(photos / "task.zip", DataSettings(format="cvat"))
    os.mkfifo(photos / "annotations.xml")
    os.mkfifo(photos / "images" / "e.jpg")
    write(photos / "real.xml", IMAGES + '<image id="9" name="e.jpg"><tag label="cat"/></image>')
    assert recognise(photos) == "cvat"
    assert len(open_dataset(photos, AUTO)) == 5
