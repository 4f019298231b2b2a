from __future__ import annotations

import csv
import io
import json

import pytest

from swtformer.datasets import open_dataset
from swtformer.datasets.annotations.label_studio_tasks import looks_like_tasks
from swtformer.errors import DataError
from swtformer.settings import DataSettings

AUTO = DataSettings()
OUTLINED = "categories of outlined objects in"
BOX = {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0}


def choices(*names, control="animal"):
    return {"type": "choices", "from_name": control, "to_name": "image", "value": {"choices": list(names)}}


def region(kind, *names, control="label", **place):
    value = {**(place or BOX), kind: list(names)}
    return {"type": kind, "from_name": control, "original_width": 8, "original_height": 6, "value": value}


def annotation(*results, **fields):
    return {"id": 1, "result": list(results), **fields}


def task(image, *annotations, **fields):
    data = {"image": image, "patient": "p1"}
    return {"id": 7, "annotations": list(annotations), "data": data, "predictions": [], **fields}


@pytest.fixture
def export(tmp_path, write_images):
    """Writes an export beside the images a.jpg to d.jpg."""
    write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])

    def write(content, name="project-1-at-2026.json"):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return write


def labels_of(data):
    """Class names of each image by its id."""
    return {
        record.id: None if record.present is None else tuple(data.classes[k] for k in record.present)
        for record in data.records
    }


def kinds(data):
    """Kinds of the problems but that of the names."""
    return [problem.kind for problem in data.problems if problem.kind != "image_reference"]


def test_choices_are_labels(export):
    folder = export(
        [
            task("/data/upload/3/1a2b3c4d-a.jpg", annotation(choices("dog", "cat"))),
            task("/data/local-files/?d=photos/b.jpg", annotation(choices("dog"))),
            task("s3://bucket/deep/c.jpg", annotation(choices("none"))),
            task("https://host/x/d.jpg?sig=1", annotation(choices("cat"))),
        ]
    )
    for path in (folder, folder / "project-1-at-2026.json"):
        data = open_dataset(path, AUTO)
        assert (data.format, data.classes) == ("label-studio", ("cat", "dog"))
        assert labels_of(data) == {"a": ("cat", "dog"), "b": ("dog",), "c": (), "d": ("cat",)}
        assert data.labels_from == "choices in project-1-at-2026.json"
        assert "background" in kinds(data)


@pytest.mark.parametrize(
    ("result", "source"),
    [
        (region("brushlabels", "cat", rle=[1, 2], format="rle"), f"{OUTLINED} p.json"),
        (
            region("polygonlabels", "cat", points=[[1, 1], [2, 2], [1, 2]]),
            f"{OUTLINED} p.json",
        ),
        (region("rectanglelabels", "cat"), "categories in p.json"),
        (region("ellipselabels", "cat"), "categories in p.json"),
        (region("keypointlabels", "cat", x=1, y=2, width=0.5), "categories in p.json"),
    ],
)
def test_labels_of_regions(export, result, source):
    folder = export(
        [
            task("a.jpg", annotation(result, result)),
            task("b.jpg", annotation(region("rectanglelabels", "dog"))),
        ],
        "p.json",
    )
    data = open_dataset(folder, AUTO)
    assert labels_of(data) == {"a": ("cat",), "b": ("dog",)}
    assert data.labels_from == source


def test_results_that_are_no_labels_are_passed_over(export):
    others = [
        {"type": "textarea", "from_name": "note", "value": {"text": ["a horse"]}},
        {"type": "rating", "from_name": "stars", "value": {"rating": 3}},
        {"type": "relation", "labels": ["next"]},
        {"type": "choices", "from_name": "pose", "value": {**BOX, "choices": ["sitting"]}},
    ]
    folder = export(
        [
            task("a.jpg", annotation(region("rectanglelabels", "cat"), *others)),
            task("b.jpg", annotation(region("rectanglelabels", "dog"))),
        ]
    )
    assert open_dataset(folder, AUTO).classes == ("cat", "dog")


def test_taxonomies_name_their_last_level(export):
    result = {
        "type": "taxonomy",
        "from_name": "t",
        "value": {"taxonomy": [["pet", "cat"], ["pet", "dog"]]},
    }
    assert labels_of(open_dataset(export([task("a.jpg", annotation(result))]), AUTO)) == {"a": ("cat", "dog")}


def test_what_nobody_labelled_is_unknown(export):
    prediction = {"result": [choices("horse")]}
    folder = export(
        [
            task("a.jpg", annotation(choices("cat"))),
            task("b.jpg", annotation(choices("cat"), was_cancelled=True)),
            task("c.jpg", annotation()),
            task("d.jpg", predictions=[prediction]),
        ]
    )
    data = open_dataset(folder, AUTO)
    assert labels_of(data) == {"a": ("cat",), "b": None, "c": None, "d": None}
    assert "3 of 4 tasks have no annotation with labels" in data.problems[0].message
    data = open_dataset(folder, AUTO, reader={"empty": "background"})
    assert labels_of(data) == {"a": ("cat",), "b": None, "c": (), "d": None}


def test_predictions_alone_are_no_labels(export):
    folder = export([task("a.jpg", predictions=[{"result": [choices("cat")]}])])
    with pytest.raises(DataError, match=r"no task of 1 has .*Predictions"):
        open_dataset(folder, AUTO)


@pytest.mark.parametrize(
    ("option", "labels"),
    [({}, None), ({"annotators": "union"}, ("cat", "dog")), ({"annotators": "newest"}, ("dog",))],
)
def test_annotators_who_differ(export, option, labels):
    one = annotation(choices("cat"), completed_by={"id": 1}, updated_at="2026-01-02")
    other = annotation(choices("dog"), completed_by=2, updated_at="2026-01-03")
    agreeing = annotation(choices("dog"), completed_by={"id": 1})
    data = open_dataset(
        export([task("a.jpg", other, one), task("b.jpg", agreeing, other)]), AUTO, reader=option
    )
    assert labels_of(data) == {"a": labels, "b": ("dog",)}
    assert "task 7: annotators differ in 1 of 2 tasks" in data.problems[0].message


def test_the_newest_of_one_annotator_and_ground_truth_count(export):
    old = annotation(choices("cat"), completed_by=1, updated_at="2026-01-02")
    new = annotation(choices("dog"), completed_by=1, updated_at="2026-01-03")
    truth = annotation(choices("horse"), completed_by=2, ground_truth=True)
    data = open_dataset(export([task("a.jpg", new, old), task("b.jpg", new, truth)]), AUTO)
    assert labels_of(data) == {"a": ("dog",), "b": ("horse",)}
    assert kinds(data) == []


def test_several_controls_are_asked_about(export):
    quality = choices("good", control="quality")
    folder = export(
        [task("a.jpg", annotation(choices("cat"), quality)), task("b.jpg", annotation(choices("dog")))]
    )
    with pytest.raises(DataError, match=r"animal \(cat …\); quality \(good …\).*reader\.controls"):
        open_dataset(folder, AUTO)
    data = open_dataset(folder, AUTO, reader={"controls": ["animal"]})
    assert labels_of(data) == {"a": ("cat",), "b": ("dog",)}
    with pytest.raises(DataError, match="has no control 'animals'"):
        open_dataset(folder, AUTO, reader={"controls": ["animals"]})
    mixed = export([task("a.jpg", annotation(quality, region("rectanglelabels", "cat")))])
    with pytest.raises(DataError, match="answers of several controls"):
        open_dataset(mixed, AUTO)


ROWS = [
    {"image": "/data/upload/3/1a2b3c4d-a.jpg", "id": 1, "choice": {"choices": ["cat", "dog"]}},
    {"image": "/data/upload/3/1a2b3c4d-b.jpg", "id": 2, "choice": "dog"},
    {"image": "/data/upload/3/1a2b3c4d-c.jpg", "id": 3},
]
ABOUT = {"annotator": 1, "annotation_id": 5, "created_at": "2026", "updated_at": "2026", "lead_time": 3.5}


def as_csv(rows, delimiter=","):
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, list(dict.fromkeys(name for row in rows for name in row)), delimiter=delimiter
    )
    writer.writeheader()
    for row in rows:
        writer.writerow({k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in row.items()})
    return stream.getvalue()


@pytest.mark.parametrize("write", [json.dumps, as_csv, lambda rows: as_csv(rows, "\t")])
@pytest.mark.parametrize("control", ["choice", "my animal"])
def test_json_min_and_csv(export, write, control):
    rows = [{control if k == "choice" else k: v for k, v in {**row, **ABOUT}.items()} for row in ROWS]
    text = write(rows)
    name = "p.json" if write is json.dumps else "p.tsv" if "\t" in text else "p.csv"
    folder = export(text, name)
    for path in (folder, folder / name):
        data = open_dataset(path, AUTO)
        assert data.format == "label-studio"
        assert labels_of(data) == {"a": ("cat", "dog"), "b": ("dog",), "c": None}


def test_regions_in_a_csv(export):
    strokes = {"rle": list(range(60_000)), "brushlabels": ["cat"], "original_width": 8}
    rows = [
        {"image": "a.jpg", "id": 1, "tag": [strokes], **ABOUT},
        {
            "image": "b.jpg",
            "id": 2,
            "tag": [{**BOX, "rectanglelabels": ["dog"]}] * 2,
            "note": "blurred",
            **ABOUT,
        },
    ]
    data = open_dataset(export(as_csv(rows), "p.csv"), AUTO)
    assert labels_of(data) == {"a": ("cat",), "b": ("dog",)}
    assert "taken to be no labels: note" in data.problems[0].message


def test_annotators_in_rows(export):
    rows = [{**ROWS[1], **ABOUT}, {**ROWS[1], **ABOUT, "choice": "cat", "annotator": 2}]
    data = open_dataset(export(rows), AUTO)
    assert labels_of(data) == {"b": None}
    assert "annotators_differ" in kinds(data)


def test_columns_that_may_all_be_choices(export):
    row = {"image": "a.jpg", "id": 1, "animal": "cat", "weather": "rain", **ABOUT}
    with pytest.raises(DataError, match="which of the columns animal, weather holds"):
        open_dataset(export([row]), AUTO)
    data = open_dataset(export([{**row, "choice": "cow"}]), AUTO)
    assert data.classes == ("cow",)
    assert "choice is taken as the labels" in data.problems[0].message


def test_a_table_with_an_id_is_no_export(export):
    folder = export("image,labels,id,annotator\na.jpg,cat,1,me\nb.jpg,dog,2,me\n", "labels.csv")
    assert open_dataset(folder, AUTO).format == "table"


def test_the_field_of_the_images(export):
    two = {"id": 1, "data": {"left": "a.jpg", "right": "b.jpg"}, "annotations": [annotation(choices("cat"))]}
    with pytest.raises(DataError, match=r"reader\.image_field; there are: left, right"):
        open_dataset(export([two]), AUTO)
    assert labels_of(open_dataset(export([two]), AUTO, reader={"image_field": "right"})) == {"b": ("cat",)}
    with pytest.raises(DataError, match="no task has the field 'top'"):
        open_dataset(export([two]), AUTO, reader={"image_field": "top"})
    inline = {**two, "data": {"image": "data:image/png;base64,AAAA"}}
    with pytest.raises(DataError, match="which field holds the images"):
        open_dataset(export([inline]), AUTO)


def test_tasks_that_are_damaged(export):
    bad = [task("a.jpg", annotation(choices("cat"))), {"id": 9, "data": {}, "annotations": []}]
    with pytest.raises(DataError, match=r"task 9: needs an image in data\.image"):
        open_dataset(export(bad), AUTO)
    with pytest.raises(DataError, match="is not an export of Label Studio"):
        open_dataset(export([3]) / "project-1-at-2026.json", DataSettings(format="label-studio"))


def test_several_exports_need_a_name(export):
    export([task("a.jpg", annotation(choices("cat")))], "one.json")
    folder = export([task("a.jpg", annotation(choices("dog")))], "two.json")
    with pytest.raises(DataError, match="there are: one, two"):
        open_dataset(folder, AUTO)
    data = open_dataset(folder, AUTO, split="two")
    assert (data.classes, data.split) == (("dog",), "two")


@pytest.mark.parametrize(
    "value",
    [None, {}, [], [1], [{"id": 1}], [{"image": "a.jpg", "labels": ["x"]}], [{"annotations": [{"x": 1}]}]],
)
def test_other_json_is_no_export(value):
    assert not looks_like_tasks(value)
