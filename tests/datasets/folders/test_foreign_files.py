from __future__ import annotations

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("list.txt", "images/a.jpg\nimages/b.jpg\n", r"names the images, such as 'a\.jpg'"),
        ("via.json", '{"_via_settings": {}}', "VGG Image Annotator"),
        ("other.xml", "<dataset><images/></dataset>", "like XML"),
        ("gt.mat", "MATLAB 5.0", "MATLAB"),
        ("shapes.geojson", "{}", r"shapes on a map"),
        ("list.lst", "a\t1\nb\t0\n", "a text file that names the images"),
        ("ann/a.jpg.json", '{"objects": [{"classTitle": "cat"}]}', "Supervisely"),
        ("ann/a.jpg.json", '{"weather": "rain"}', "JSON for one of the images"),
        ("cat/patch_labels_metadata.json", '{"labels": ["Pastures"], "ulx": 1}', "labels, but no reader"),
        ("label_2/a.txt", "Car 0.00 0 -1.57 599 156 629 189", "a text file for one of the images"),
    ],
)
@pytest.mark.parametrize("folders", [("images", "images"), ("cat", "dog")])
def test_files_that_may_hold_labels_stop_a_folder(tmp_path, write_images, folders, file, text, message):
    if folders == ("cat", "dog") and file == "other.xml":
        text += "<!-- a.jpg -->"
    write_images(tmp_path, [f"{folders[0]}/a.jpg", f"{folders[1]}/b.jpg"])
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        recognise(tmp_path)
    assert f"2 images and {file}, which looks like" in str(error.value)
    assert "labels.csv" in str(error.value)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.txt", "The image a.jpg shows a cat."),
        ("README.roboflow.txt", "a.jpg"),
        ("LICENSE", "MIT"),
        ("notes.txt", "mine"),
        ("class_to_idx.json", '{"cat": 0, "dog": 1}'),
        ("classes.txt", "cat\ndog\n"),
        ("report.html", "a.jpg"),
        ("cat/Thumbs.db", "thumbnails"),
        ("__MACOSX/labels.xlsx", "PK"),
    ],
)
def test_other_files_do_not_stop_class_folders(tmp_path, write_images, file, text):
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert open_dataset(tmp_path, AUTO).classes == ("cat", "dog")


def test_the_format_can_be_named_all_the_same(tmp_path, write_images):
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    (tmp_path / "sizes.xlsx").write_text("PK")
    data = open_dataset(tmp_path, DataSettings(format="folder"))
    assert data.classes == ("cat", "dog")
    assert "'sizes.xlsx'" in data.problems[0].message


def test_numbers_in_a_file_are_not_names_of_images(tmp_path, write_images):
    write_images(tmp_path, ["cat/0.jpg", "dog/1.jpg", "dog/2.jpg", "dog/3.jpg"])
    (tmp_path / "index.json").write_text('{"cat": 0, "dog": 1}')
    assert recognise(tmp_path) == "folder"
    (tmp_path / "index.json").write_text('{"0": [1], "1": [2], "2": [1]}')
    with pytest.raises(DataError, match="JSON that names the images"):
        recognise(tmp_path)
