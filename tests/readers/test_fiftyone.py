from __future__ import annotations

import json

import pytest

from swtformer.datasets import open_dataset
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()


@pytest.fixture
def export(tmp_path, write_images):
    """Writes an export beside the images a.jpg to d.jpg in data/."""
    write_images(tmp_path / "data", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])

    def write(value, name="samples.json"):
        (tmp_path / name).write_text(json.dumps(value))
        return tmp_path

    return write


def labels_of(data):
    """Class names of each image by its id."""
    return {
        record.id: None if record.present is None else tuple(data.classes[k] for k in record.present)
        for record in data.records
    }


def label(name, kind="Classification", **fields):
    return {"_cls": kind, "label": name, "confidence": None, **fields}


def several(kind, key, *names, **fields):
    return {"_cls": kind, key: [label(name, kind.removesuffix("s"), **fields) for name in names]}


@pytest.mark.parametrize(
    "labels",
    [
        {"a": [2, 0], "b": 0, "c": [], "d": None},
        {"a": ["emu", "cat"], "b": "cat", "c": [], "d": None},
        {"a.jpg": [{"label": 2}, {"label": 0}], "b.jpg": {"label": "cat"}, "c": [], "d": None},
    ],
)
def test_classification_labels(export, labels):
    folder = export({"classes": ["cat", "dog", "emu"], "labels": labels}, "labels.json")
    for path in (folder, folder / "labels.json"):
        data = open_dataset(path, AUTO)
        assert (data.format, data.classes) == ("fiftyone", ("cat", "dog", "emu"))
        assert labels_of(data) == {"a": ("cat", "emu"), "b": ("cat",), "c": (), "d": None}


def test_background_keeps_the_numbers_of_the_others(export):
    data = open_dataset(
        export({"classes": ["background", "cat"], "labels": {"a": 1, "b": 0}}, "labels.json"), AUTO
    )
    assert (data.classes, labels_of(data)) == (("cat",), {"a": ("cat",), "b": ()})


def test_labels_without_classes_are_names(export):
    folder = export({"classes": None, "labels": {"a": "cat", "b": "dog"}}, "labels.json")
    assert open_dataset(folder, AUTO).classes == ("cat", "dog")
    folder = export({"classes": None, "labels": {"a": 0}}, "labels.json")
    with pytest.raises(DataError, match="nothing says what they mean"):
        open_dataset(folder, AUTO)


@pytest.mark.parametrize(
    ("first", "source"),
    [
        (several("Classifications", "classifications", "cat", "dog"), "categories in samples.json"),
        (several("Detections", "detections", "cat", "dog", "dog"), "categories in samples.json"),
        (several("Keypoints", "keypoints", "cat", "dog"), "categories in samples.json"),
        (
            several("Detections", "detections", "cat", "dog", mask="abc"),
            "categories of outlined objects in samples.json",
        ),
        (
            several("Polylines", "polylines", "cat", "dog", points=[[[0, 0]]]),
            "categories of outlined objects in samples.json",
        ),
    ],
)
def test_samples(export, first, source):
    samples = [
        {"filepath": "data/a.jpg", "tags": ["blurred"], "ground_truth": first, "id": {"_cls": "other"}},
        {"filepath": "/home/me/fiftyone/x/data/b.jpg", "ground_truth": label("cat")},
        {"filepath": "data/c.jpg", "ground_truth": {**first, next(k for k in first if k != "_cls"): []}},
        {"filepath": "data/d.jpg", "ground_truth": None},
    ]
    data = open_dataset(export({"samples": samples}), AUTO)
    assert data.format == "fiftyone"
    assert [set(own or ()) for own in labels_of(data).values()] == [{"cat", "dog"}, {"cat"}, set(), set()]
    assert [own is None for own in labels_of(data).values()] == [False, False, False, True]
    assert data.labels_from == f"{source} (ground_truth)"


def test_predictions_are_labels_only_if_named(export):
    guess = label("dog", confidence=0.9)
    samples = [{"filepath": "data/a.jpg", "animal": label("cat"), "model": guess}]
    assert labels_of(open_dataset(export({"samples": samples}), AUTO)) == {"data/a": ("cat",)}
    data = open_dataset(export({"samples": samples}), AUTO, reader={"field": "model"})
    assert labels_of(data) == {"data/a": ("dog",)}
    with pytest.raises(DataError, match="no sample has labels in 'modell'"):
        open_dataset(export({"samples": samples}), AUTO, reader={"field": "modell"})
    with pytest.raises(DataError, match=r"reader\.field; there are: model\."):
        open_dataset(export({"samples": [{"filepath": "data/a.jpg", "model": guess}]}), AUTO)
    two = [{"filepath": "data/a.jpg", "animal": label("cat"), "weather": label("rain")}]
    with pytest.raises(DataError, match="there are: animal, weather"):
        open_dataset(export({"samples": two}), AUTO)


def test_damaged_samples(export):
    samples = [{"filepath": "data/a.jpg", "ground_truth": label("cat")}, {"id": 3}, 3]
    with pytest.raises(DataError, match=r"samples\[1\]: needs a filepath.*2 such faults"):
        open_dataset(export({"samples": samples}), AUTO)
    strange = [{"filepath": "data/a.jpg", "ground_truth": {"_cls": [1], "label": "cat"}}]
    with pytest.raises(DataError, match=r"reader\.field; there are: none"):
        open_dataset(export({"samples": strange}), AUTO)
    with pytest.raises(DataError, match="is not an export of FiftyOne"):
        open_dataset(export([1]) / "samples.json", DataSettings(format="fiftyone"))


def test_coco_of_fiftyone_is_coco(export):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 0, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 0}],
    }
    assert open_dataset(export(content, "labels.json"), AUTO).format == "coco"


def test_tags_are_splits_where_every_sample_has_one(export):
    tagged = {"a": ["train", "blurred"], "b": ["validation"], "c": ["train"]}
    samples = [
        {"filepath": f"{name}.jpg", "tags": tags, "ground_truth": label(f"class {name}")}
        for name, tags in tagged.items()
    ]
    folder = export({"samples": samples})
    train = open_dataset(folder, AUTO)
    assert (train.split, train.classes) == ("train", ("class a", "class b", "class c"))
    assert labels_of(train) == {"a": ("class a",), "c": ("class c",)}
    assert labels_of(open_dataset(folder / "samples.json", AUTO, split="val")) == {"b": ("class b",)}
    assert len(open_dataset(folder, AUTO, split="all")) == 3


@pytest.mark.parametrize("tags", [["train", "test"], [], None, "train"])
@pytest.mark.parametrize("split", [None, "train", "test"])
def test_tags_of_some_samples_alone_are_asked_about(export, tags, split):
    samples = [
        {"filepath": f"{name}.jpg", "tags": own, "ground_truth": label("cat")}
        for name, own in {"a": tags, "b": ["test"], "c": ["train"]}.items()
    ]
    folder = export({"samples": samples})
    with pytest.raises(DataError, match=r"2 of 3 samples have one split tag; .* data\.split all"):
        open_dataset(folder, AUTO, split=split)
    everything = open_dataset(folder, AUTO, split="all")
    assert (everything.split, len(everything)) == (None, 3)


def test_samples_without_any_split_tag_are_one_set(export):
    samples = [{"filepath": "a.jpg", "tags": ["blurred"], "ground_truth": label("cat")}]
    assert open_dataset(export({"samples": samples}), AUTO).split is None
