from __future__ import annotations

import json

import pytest

from swtformer.datasets import open_dataset, recognise
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()
LABELS = {"a": ("cat", "dog"), "b": ("dog",), "c": ()}
NAMES = {"a.jpg": ["cat", "dog"], "b.jpg": ["dog"], "c.jpg": []}
FLAGS = {name: {label: int(label in own) for label in ("cat", "dog")} for name, own in NAMES.items()}
RECORDS = [{"image": name, "labels": own} for name, own in NAMES.items()]
FLAG_RECORDS = [{"file_name": name, **own} for name, own in FLAGS.items()]


@pytest.fixture
def written(tmp_path, write_images):
    """Writes a JSON file beside the images a.jpg to c.jpg, and names of classes."""
    write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"])

    def write(value, *, classes=(), name="labels.json"):
        (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value))
        if classes:
            (tmp_path / "classes.txt").write_text("\n".join(classes))
        return tmp_path

    return write


def labels_of(data):
    """Class names of each image by the name of its file."""
    return {
        record.image.stem: None if record.present is None else tuple(data.classes[k] for k in record.present)
        for record in data.records
    }


def columns(records):
    """Columns by name, each by row number, as pandas' to_json writes them."""
    return {key: {str(k): record[key] for k, record in enumerate(records)} for key in records[0]}


@pytest.mark.parametrize(
    "value",
    [
        NAMES,
        {name.removesuffix(".jpg"): own for name, own in NAMES.items()},
        {f"images/{name}": own for name, own in NAMES.items()},
        {f"/kaggle/input/x/{name}": own for name, own in NAMES.items()},
        {name: ";".join(own) for name, own in NAMES.items()},
        {name: " | ".join(own) for name, own in NAMES.items()},
        {name: repr(own) for name, own in NAMES.items()},
        {name: json.dumps(own) for name, own in NAMES.items()},
        {name: [[label] for label in own] for name, own in NAMES.items()},
        {name: [{"name": label} for label in own] for name, own in NAMES.items()},
        {name: {"labels": own, "width": 8} for name, own in NAMES.items()},
        {name: own or ["background"] for name, own in NAMES.items()},
        FLAGS,
        {name: {label: bool(flag) for label, flag in own.items()} for name, own in FLAGS.items()},
        {name: dict.fromkeys(own, 1) for name, own in NAMES.items()},
        {"labels": NAMES},
        {"info": {"year": 2026}, "classes": ["cat", "dog"], "data": NAMES},
        RECORDS,
        {"annotations": RECORDS, "version": 1},
        FLAG_RECORDS,
        [{"Image": name, "Tags": own, "id": k, "fold": 1} for k, (name, own) in enumerate(NAMES.items())],
        [{"url": f"https://host/x/{name}?s=1", "label": own} for name, own in NAMES.items()],
        [[name, own] for name, own in NAMES.items()],
        [
            {"image": n, "annotations": [{"label": x, "coordinates": {}} for x in own]}
            for n, own in NAMES.items()
        ],
        columns(RECORDS),
        columns(FLAG_RECORDS),
        {key: list(column.values()) for key, column in columns(RECORDS).items()},
        {str(k): record for k, record in enumerate(RECORDS)},
        {label: {name: own[label] for name, own in FLAGS.items()} for label in ("cat", "dog")},
        {"labels": dict(NAMES.items())},
        {"columns": ["image", "labels"], "index": [0, 1, 2], "data": [list(r.values()) for r in RECORDS]},
        {"columns": ["labels"], "index": list(NAMES), "data": [[own] for own in NAMES.values()]},
        {"schema": {"fields": []}, "data": [{"index": k, **r} for k, r in enumerate(RECORDS)]},
    ],
)
def test_shapes_of_labels(written, value):
    folder = written(value)
    for path in (folder, folder / "labels.json"):
        data = open_dataset(path, AUTO)
        assert (data.format, data.classes) == ("json", ("cat", "dog"))
        assert labels_of(data) == LABELS
        assert data.labels_from.startswith("labels.json (")


def test_images_by_class(written):
    data = open_dataset(written({"cat": ["a.jpg"], "dog": ["a.jpg", "b.jpg"]}), AUTO)
    assert labels_of(data) == {"a": ("cat", "dog"), "b": ("dog",)}
    assert data.labels_from == "labels.json (images by class)"
    data = open_dataset(written({"background": ["c.jpg"], "dog": ["a.jpg", "b.jpg"]}), AUTO)
    assert labels_of(data) == {"c": (), "a": ("dog",), "b": ("dog",)}


@pytest.mark.parametrize(
    "value",
    [
        {"a.jpg": 0, "b.jpg": 2},
        {"a.jpg": [0], "b.jpg": [2]},
        {"a.jpg": "0", "b.jpg": "2"},
        {"a.jpg": {"label": 0}, "b.jpg": {"class_id": 2}},
        [{"image": "a.jpg", "label": 0}, {"image": "b.jpg", "label": 2}],
        {"a.jpg": [1, 0, 0], "b.jpg": [0, 0, 1]},
        {"a.jpg": [0.9, 0.1, 0.0], "b.jpg": [0.2, 0.3, 0.5]},
    ],
)
def test_numbers_need_a_class_list(written, value):
    folder = written(value)
    with pytest.raises(DataError, match=r"labels of 2 images are numbers .*classes\.txt"):
        open_dataset(folder, AUTO)
    data = open_dataset(written(value, classes=["cat", "dog", "emu"]), AUTO)
    assert labels_of(data) == {"a": ("cat",), "b": ("emu",)}


@pytest.mark.parametrize(
    "names",
    [
        {"classes": ["cat", "dog", "emu"]},
        {"id2label": {"0": "cat", "1": "dog", "2": "emu"}},
        {"class_names": {"cat": 0, "dog": 1, "emu": 2}},
    ],
)
def test_the_file_names_its_numbers(written, names):
    data = open_dataset(written({**names, "data": [{"image": "a.jpg", "label": 2}]}), AUTO)
    assert (data.classes, labels_of(data)) == (("cat", "dog", "emu"), {"a": ("emu",)})
    assert "0=cat, 1=dog, 2=emu" in data.problems[0].message


def test_numbers_in_doubt(written):
    with pytest.raises(DataError, match="may be numbers of classes, or 0 or 1"):
        open_dataset(written({"a.jpg": [0, 1], "b.jpg": [0, 1]}, classes=["cat", "dog"]), AUTO)
    data = open_dataset(written({"a.jpg": [0, 1], "b.jpg": [1, 0]}, classes=["cat", "dog"]), AUTO)
    assert labels_of(data) == {"a": ("dog",), "b": ("cat",)}, "as numbers, both images would show both"
    with pytest.raises(DataError, match="does not have: 7; it has 0 to 1"):
        open_dataset(written({"a.jpg": [0, 7]}, classes=["cat", "dog"]), AUTO)
    data = open_dataset(written({"a.jpg": 7, "b.jpg": 1}, classes=["1", "7"]), AUTO)
    assert labels_of(data) == {"a": ("7",), "b": ("1",)}, "the class list has these names"


def test_scores_count_from_a_threshold_that_is_said(written):
    value = {"a.jpg": {"cat": 0.6, "dog": 0.4}, "b.jpg": {"cat": 0.1, "dog": 0.2}}
    data = open_dataset(written(value), AUTO)
    assert labels_of(data) == {"a": ("cat",), "b": ()}
    assert "scores from 0.5 on count (by default; reader.threshold)" in data.problems[0].message
    data = open_dataset(written(value), AUTO, reader={"threshold": 0.2})
    assert labels_of(data) == {"a": ("cat", "dog"), "b": ("dog",)}
    sure = {"a.jpg": [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.3}]}
    assert labels_of(open_dataset(written(sure), AUTO)) == {"a": ("cat",)}
    with pytest.raises(DataError, match="640 is no score between 0 and 1"):
        open_dataset(written({"a.jpg": {"cat": 1, "width": 640}}), AUTO)
    data = open_dataset(written({"a.jpg": {"cat": 80, "dog": 3}}), AUTO, reader={"threshold": 50})
    assert labels_of(data) == {"a": ("cat",)}


def test_null_is_unknown(written):
    data = open_dataset(written({"a.jpg": ["cat"], "b.jpg": None, "c.jpg": [], "d": "NaN"}), AUTO)
    assert labels_of(data)["b"] is None
    nan = '[{"image": "a.jpg", "label": NaN}, {"image": "b.jpg", "label": "cat"}]'
    assert labels_of(open_dataset(written(nan), AUTO)) == {"a": None, "b": ("cat",)}


def test_what_is_decided_about_text_is_said(written):
    data = open_dataset(written({"a.jpg": "cat, dog", "b.jpg": "none"}), AUTO)
    assert labels_of(data) == {"a": ("cat", "dog"), "b": ()}
    assert {problem.kind for problem in data.problems} == {"json_read", "background"}


def test_splits_of_a_file(written):
    value = {"train": {"a.jpg": "cat"}, "val": {"b.jpg": "dog"}}
    rows = [("a.jpg", "cat", "train"), ("b.jpg", "dog", "val")]
    records = [dict(zip(("image", "label", "split"), row, strict=True)) for row in rows]
    for content in (value, records):
        folder = written(content)
        data = open_dataset(folder, AUTO)
        assert (data.split, data.classes, labels_of(data)) == ("train", ("cat", "dog"), {"a": ("cat",)})
        assert labels_of(open_dataset(folder / "labels.json", AUTO, split="val")) == {"b": ("dog",)}
        assert len(open_dataset(folder, AUTO, split="all")) == 2
        with pytest.raises(DataError, match="'vall'"):
            open_dataset(folder, AUTO, split="vall")


def test_splits_are_files(written):
    written({"a.jpg": "cat"}, name="train.json")
    folder = written({"b.jpg": "cat"}, name="val.json")
    assert labels_of(open_dataset(folder, AUTO)) == {"a": ("cat",)}
    assert labels_of(open_dataset(folder, AUTO, split="val")) == {"b": ("cat",)}
    written({"b.jpg": "cat"}, name="one.json")
    (folder / "train.json").unlink()
    with pytest.raises(DataError, match=r"which file holds the labels.*there are: one, val"):
        open_dataset(folder, AUTO)


def test_splits_are_folders(tmp_path, write_images):
    for split, label in (("train", "cat"), ("valid", "dog")):
        write_images(tmp_path / split, ["a.jpg"])
        (tmp_path / split / "_annotations.createml.json").write_text(
            json.dumps([{"image": "a.jpg", "annotations": [{"label": label}]}])
        )
    data = open_dataset(tmp_path, AUTO)
    assert (data.format, data.split, data.classes) == ("json", "train", ("cat",))
    data = open_dataset(tmp_path, AUTO, split="valid")
    assert (data.classes, data.records[0].image) == (("dog",), tmp_path / "valid" / "a.jpg")


def test_a_file_in_a_folder_for_labels(tmp_path, write_images):
    write_images(tmp_path / "images", ["a.jpg", "b.jpg"])
    for folder in ("annotations", "labels"):
        file = tmp_path / folder / "mine.json"
        file.parent.mkdir()
        file.write_text('{"a.jpg": "cat", "../images/b.jpg": "dog"}')
        for path in (tmp_path, file):
            data = open_dataset(path, AUTO)
            assert (data.name, labels_of(data)) == (tmp_path.name, {"a": ("cat",), "b": ("dog",)})
        file.unlink()


def test_a_file_without_any_label_is_refused(written):
    for value in ({"a.jpg": [], "b.jpg": None}, {"items": [{"id": "a.jpg", "annotations": []}]}):
        with pytest.raises(DataError, match=r"gives none of . images a label"):
            open_dataset(written(value), AUTO)


def test_keys_can_be_named(written):
    records = [
        {"left": "a.jpg", "right": "b.jpg", "animal": "cat", "place": "barn"},
        {"left": "c.jpg", "right": "a.jpg", "animal": "dog", "place": None},
    ]
    with pytest.raises(DataError, match=r"'left', 'right' of its records hold images.*image_column"):
        open_dataset(written(records), AUTO)
    with pytest.raises(DataError, match=r"records have no labels, only .*label_columns"):
        open_dataset(written(records), AUTO, reader={"image_column": "left"})
    named = {"image_column": "left", "label_columns": ["animal"]}
    assert labels_of(open_dataset(written(records), AUTO, reader=named)) == {"a": ("cat",), "c": ("dog",)}
    both = {**named, "label_columns": ["animal", "place"]}
    assert labels_of(open_dataset(written(records), AUTO, reader=both))["a"] == ("barn", "cat")
    with pytest.raises(DataError, match="have no key 'beast'"):
        open_dataset(written(records), AUTO, reader={**named, "label_columns": ["beast"]})
    flags = {"label_columns": ["dog"]}
    assert labels_of(open_dataset(written(FLAG_RECORDS), AUTO, reader=flags))["a"] == ("dog",)


def test_labels_beside_flags_are_asked_about(written):
    records = [{"image": "a.jpg", "label": "cat", "cat": 1, "dog": 0}]
    with pytest.raises(DataError, match="have 'label', and 0 or 1 in 'cat', 'dog'"):
        open_dataset(written(records), AUTO)


@pytest.mark.parametrize(
    ("value", "looks"),
    [
        ({"model": "x", "a.jpg": 1}, "an object with the keys 'model', 'a.jpg'"),
        ({"_via_img_metadata": {"a.jpg1": {"filename": "a.jpg", "regions": []}}}, "'_via_img_metadata'"),
        ({"items": [{"id": "a.jpg", "attr": {}}]}, "no labels, only 'attr'"),
        ([{"image": "a.jpg", "caption": "a cat"}], "a list of 1 items"),
        ([], "an empty list"),
        ({}, "an empty object"),
        ("3", "the value 3"),
        ({"x": ["a.jpg", 3]}, "an object with the keys 'x'"),
    ],
)
def test_other_json_is_refused_by_what_it_looks_like(written, value, looks):
    folder = written(value)
    with pytest.raises(DataError, match=r"Expected labels by image such as") as caught:
        open_dataset(folder / "labels.json", AUTO)
    assert looks in str(caught.value)
    if "a.jpg" in str(value):
        with pytest.raises(DataError, match=r"labels\.json: is an? "):
            open_dataset(folder, AUTO)


def test_json_without_images_beside_class_folders(tmp_path, write_images):
    write_images(tmp_path, ["cat/a.jpg", "dog/b.jpg"])
    (tmp_path / "config.json").write_text('{"epochs": 3, "lr": 0.1}')
    assert recognise(tmp_path) == "folder"
    (tmp_path / "labels.json").write_text('{"a.jpg": "cat", "b.jpg": "dog"}')
    assert recognise(tmp_path) == "json"


def test_damaged_json_is_refused(written):
    folder = written('{"a.jpg": ["cat"')
    with pytest.raises(DataError, match="incomplete or damaged JSON"):
        open_dataset(folder / "labels.json", AUTO)


@pytest.mark.parametrize(
    "value", [True, {"a": "b"}, [True, "x"], [3, "cat"], [[["cat"]]], "[cat", {"label": True}]
)
def test_values_that_are_no_labels(written, value):
    with pytest.raises(DataError, match=r"'a\.jpg': .*There are 2 such faults"):
        open_dataset(written({"a.jpg": value, "b.jpg": value, "c.jpg": ["cat"]}), AUTO)


@pytest.mark.parametrize(
    "value",
    [
        [{"Image Index": name, "Finding Labels": "|".join(own)} for name, own in NAMES.items()],
        [{"file_name": name, "is_train": 1, "fold": 0, "dx": own} for name, own in NAMES.items()],
        [{"name": name, "objects": [{"label": own} for own in labels]} for name, labels in NAMES.items()],
        {"cat": ["a.jpg", "c.jpg"], "dog": ["a.jpg", "b.jpg"], "no finding": ["c.jpg"]},
    ],
)
def test_keys_are_called_as_columns_of_tables_are(written, value):
    expected = {"a": {"cat", "dog"}, "b": {"dog"}, "c": {"cat"} if isinstance(value, dict) else set()}
    assert {name: set(own) for name, own in labels_of(open_dataset(written(value))).items()} == expected


def test_a_number_of_a_category_is_no_flag(written):
    value = {"a.jpg": [{"category_id": 1}], "b.jpg": [{"category_id": 0}]}
    data = open_dataset(written(value, classes=("cat", "dog")))
    assert labels_of(data) == {"a": ("dog",), "b": ("cat",)}


def test_a_usual_name_may_be_a_class(written):
    value = [{"image": "a.jpg", "defect": 1}, {"image": "b.jpg", "defect": 0}]
    assert labels_of(open_dataset(written(value))) == {"a": ("defect",), "b": ()}
