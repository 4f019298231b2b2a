from __future__ import annotations

import json
import os

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.label_sources import are_of_outlines
from swtformer.settings import DataSettings

AUTO = DataSettings()


def write_json(file, *labels, flags=None, shape="polygon"):
    shapes = [
        {"label": label, "points": [[1, 1], [2, 2]], "shape_type": shape, "flags": {"x": True}}
        for label in labels
    ]
    content = {"version": "5.4.1", "flags": flags or {}, "shapes": shapes, "imagePath": "..\\x\\a.jpg"}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**content, "imageData": None, "imageHeight": 6, "imageWidth": 8}))


def present(data):
    return {record.id: record.present for record in data.records}


def test_flags_and_shapes(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    write_json(tmp_path / "a.json", flags={"cat": True, "dog": False})
    write_json(tmp_path / "b.json", "dog", "dog", "cow", flags={"cat": True})
    write_json(tmp_path / "c.json")
    write_json(tmp_path / "d.json", "_background_", "__ignore__", flags={"__ignore__": False})
    data = open_dataset(tmp_path, AUTO)
    assert (data.format, data.classes) == ("labelme", ("cat", "cow", "dog"))
    assert present(data) == {"a": (0,), "b": (0, 1, 2), "c": (), "d": ()}
    assert are_of_outlines(data.labels_from)


def test_boxes_are_no_outlines(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg"])
    write_json(tmp_path / "a.json", "cat", shape="rectangle")
    assert not are_of_outlines(open_dataset(tmp_path, AUTO).labels_from)


def test_a_folder_of_their_own_and_splits(tmp_path, write_images):
    write_images(tmp_path / "train" / "images", ["a.jpg"])
    write_images(tmp_path / "val" / "images", ["b.jpg", "c.jpg"])
    write_json(tmp_path / "train" / "annotations" / "a.json", "cat")
    write_json(tmp_path / "val" / "annotations" / "b.json", "dog")
    assert present(open_dataset(tmp_path, AUTO)) == {"a": (0,)}
    val = open_dataset(tmp_path, AUTO, split="val")
    assert present(val) == {"b": (1,), "c": None}
    assert "1 of 2 images have no file of labelme JSON" in val.problems[0].message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": "5", "shapes": [', r"b\.json: is incomplete or damaged JSON"),
        ('{"shapes": [{"label": 3}]}', r"b\.json: expected flags as names"),
        ('{"shapes": [{"label": ""}]}', r"b\.json: expected flags as names"),
        ('{"shapes": [], "flags": ["cat"]}', r"b\.json: expected flags as names"),
        ("a".encode("utf-16"), r"b\.json: is incomplete or damaged JSON"),
    ],
)
def test_damaged_files(tmp_path, write_images, text, message):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_json(tmp_path / "a.json", "cat")
    (tmp_path / "b.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, AUTO)


def test_other_json_files_are_passed_over(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    write_json(tmp_path / "a.json", "cat")
    (tmp_path / "b.json").write_text('{"weather": "rain"}')
    (tmp_path / "about.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe.json")
    assert recognise(tmp_path) == "labelme"
    data = open_dataset(tmp_path, AUTO)
    assert present(data) == {"a": (0,), "b": None}
    assert "2 files of labelme JSON belong to no image" in data.problems[1].message
