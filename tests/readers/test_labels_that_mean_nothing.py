"""Labels of whole images that mean no class, alike in every reader; drawn objects keep their names."""

from __future__ import annotations

import json

import pytest

from swtformer.datasets import open_dataset
from swtformer.settings import DataSettings


def task(number, name, kind, word):
    value = {kind: [word]} if kind == "choices" else {kind: [word], "x": 1, "y": 1, "width": 9, "height": 9}
    answer = {"from_name": "c", "to_name": "i", "type": kind, "value": value}
    return {
        "id": number,
        "data": {"image": name},
        "annotations": [{"id": number, "was_cancelled": False, "result": [answer]}],
    }


def tasks(kind, word):
    return {"export.json": json.dumps([task(1, "a.jpg", kind, "cat"), task(2, "b.jpg", kind, word)])}


def samples(kind, word):
    def labels(label):
        own = {"_cls": kind, "label": label}
        return own if kind == "Classification" else {"_cls": f"{kind}s", "detections": [own]}

    listed = [
        {"filepath": f"images/{name}.jpg", "ground_truth": labels(label)}
        for name, label in (("a", "cat"), ("b", word))
    ]
    return {"samples.json": json.dumps({"samples": listed})}


def cvat(element, word):
    images = "".join(
        f'<image id="{name}" name="{name}.jpg"><{element} label="{label}"></{element}></image>'
        for name, label in (("a", "cat"), ("b", word))
    )
    return {"annotations.xml": f"<annotations><version>1.1</version>{images}</annotations>"}


def labelme(as_flag, word):
    files = {}
    for name, label in (("a", "cat"), ("b", word)):
        shapes = [] if as_flag else [{"label": label, "points": [[1, 1], [2, 2]]}]
        own = {"version": "5", "flags": {label: True} if as_flag else {}, "shapes": shapes}
        files[f"images/{name}.json"] = json.dumps(own)
    return files


def yolo(word):
    line = "{} .5 .5 .2 .2\n"
    return {
        "labels/a.txt": line.format(0),
        "labels/b.txt": line.format(1),
        "data.yaml": f"train: images\nnames: [cat, {word}]\n",
    }


def coco(word):
    return {
        "instances.json": json.dumps(
            {
                "images": [{"id": k, "file_name": f"{name}.jpg"} for k, name in enumerate("ab")],
                "categories": [{"id": k, "name": name} for k, name in enumerate(["cat", word])],
                "annotations": [{"id": k, "image_id": k, "category_id": k} for k in (0, 1)],
            }
        )
    }


WHOLE = {
    "json": lambda word: {"labels.json": json.dumps({"a.jpg": ["cat"], "b.jpg": word})},
    "json_by_class": lambda word: {"labels.json": json.dumps({"cat": ["a.jpg"], word: ["b.jpg"]})},
    "label_studio": lambda word: tasks("choices", word),
    "fiftyone": lambda word: samples("Classification", word),
    "cvat": lambda word: cvat("tag", word),
    "labelme": lambda word: labelme(True, word),
    "table": lambda word: {"labels.csv": f"image,label\na.jpg,cat\nb.jpg,{word}\n"},
}
DRAWN = {
    "label_studio": lambda word: tasks("rectanglelabels", word),
    "fiftyone": lambda word: samples("Detection", word),
    "cvat": lambda word: cvat("box", word),
    "labelme": lambda word: labelme(False, word),
    "yolo": yolo,
    "coco": coco,
}


@pytest.fixture
def opened(tmp_path, write_images):
    def write_and_open(files, **settings):
        write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        data = open_dataset(tmp_path, DataSettings(**settings))
        by_name = {record.id.rpartition("/")[2]: set(record.present) for record in data.records}
        return data, by_name["b"]

    return write_and_open


@pytest.mark.parametrize("word", ["No Finding", "normal", "ohne_Befund"])
@pytest.mark.parametrize("format", WHOLE)
def test_a_label_of_a_whole_image_that_means_nothing_is_said(opened, format, word):
    data, present = opened(WHOLE[format](word))
    assert data.classes == ("cat",)
    assert present == set()
    assert any(repr(word) in p.message and "no class" in p.message for p in data.problems)


@pytest.mark.parametrize("format", WHOLE)
def test_a_declared_class_stays_a_class(opened, format):
    data, present = opened(WHOLE[format]("normal"), classes=("cat", "normal"))
    assert data.classes == ("cat", "normal")
    assert present == {1}


@pytest.mark.parametrize("format", DRAWN)
def test_a_drawn_object_keeps_its_name(opened, format):
    data, present = opened(DRAWN[format]("normal"))
    assert set(data.classes) == {"cat", "normal"}
    assert present == {data.classes.index("normal")}


@pytest.mark.parametrize("format", DRAWN)
def test_a_drawn_background_is_no_class(opened, format):
    data, present = opened(DRAWN[format]("BG"))
    assert data.classes == ("cat",)
    assert present == set()
    assert any("'BG' means background" in p.message for p in data.problems)
