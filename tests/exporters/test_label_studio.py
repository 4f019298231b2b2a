from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from support.label_images import CLASSES, by_id, labelled_images, reading_of
from swtformer.errors import DataError
from swtformer.exporters import LabelledImage
from swtformer.exporters.brush_rle import encode_brush
from swtformer.exporters.label_studio import LabelStudioExporter, LabelStudioSettings
from swtformer.settings import ExportSettings

IMAGE = LabelledImage("a/b", "a/b.jpg", None, np.zeros((4, 8), dtype=np.uint8))
REGION = np.zeros((4, 8), dtype=bool)
REGION[1:3, 2:6] = True


def written(folder: Path, images: list[LabelledImage], **options: str) -> Path:
    out = folder / "tasks.json"
    plug_in = LabelStudioExporter(LabelStudioSettings.model_validate(options))
    plug_in.write(images, out, classes=CLASSES, settings=ExportSettings())
    return out


def region(**changes: Any) -> dict[str, Any]:
    """A brush region as Label Studio exports it."""
    value = {"format": "rle", "rle": encode_brush(REGION), "brushlabels": ["hot dog"]}
    value |= changes.pop("value", {})
    return {
        "id": "hRZqLw",
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": 8,
        "original_height": 4,
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
        **changes,
    }


def exported(folder: Path, *annotations: dict[str, Any], data: Any = None) -> Path:
    path = folder / "export.json"
    task = {"id": 4, "data": data or {"image": "/data/upload/3/0a1b2c3d-b.jpg"}, "annotations": annotations}
    path.write_text(json.dumps([task]))
    return path


def read(path: Path) -> np.ndarray | None:
    reading, problems = reading_of([IMAGE])
    found = by_id(list(LabelStudioExporter().read(path, reading)))
    problems.raise_fatal("label studio")
    return found.get("a/b")


def test_tasks_have_what_label_studio_asks_for(tmp_path: Path) -> None:
    images = labelled_images()
    tasks = json.loads(written(tmp_path, images).read_text(encoding="utf-8"))
    assert [task["data"]["swtformer_id"] for task in tasks] == [image.id for image in images]
    assert tasks[4]["data"]["image"] == "/data/local-files/?d=sub%20folder/with%20blanks.jpg"
    for task, image in zip(tasks, images, strict=True):
        (prediction,) = task["predictions"]
        ids = [item["id"] for item in prediction["result"]]
        assert len(set(ids)) == len(ids) == len(set(np.unique(image.labels)) - {0})
        for item in prediction["result"]:
            assert (item["original_height"], item["original_width"]) == image.size
            assert (item["from_name"], item["to_name"], item["type"]) == ("label", "image", "brushlabels")
            assert item["value"]["format"] == "rle"


def test_the_configuration_declares_names_labels_and_colours(tmp_path: Path) -> None:
    out = written(tmp_path, labelled_images())
    view = ElementTree.fromstring(out.with_suffix(".xml").read_text(encoding="utf-8"))
    image, brush = view
    assert (image.tag, image.attrib["name"], image.attrib["value"]) == ("Image", "image", "$image")
    assert brush.attrib == {"name": "label", "toName": "image"}
    assert [label.attrib["value"] for label in brush] == [*CLASSES, "ignored"]
    assert brush[0].attrib["background"] == "#800000"
    written(tmp_path, labelled_images(values=(0, 1)))
    assert "ignored" not in out.with_suffix(".xml").read_text(encoding="utf-8")


def test_the_prefix_is_a_setting(tmp_path: Path) -> None:
    task = json.loads(written(tmp_path, [IMAGE], image_prefix="https://host/x/").read_text())[0]
    assert task["data"]["image"] == "https://host/x/a/b.jpg"


@pytest.mark.parametrize(
    "data",
    [
        {"image": "/data/upload/3/0a1b2c3d-b.jpg"},
        {"image": "/data/local-files/?d=photos/a/b.jpg"},
        {"image": "s3://bucket/a/b.jpg"},
        {"photo": "https://host/a/b.jpg?token=1"},
        {"image": "renamed", "swtformer_id": "a/b"},
    ],
)
def test_images_are_found_by_id_or_reference(data: dict[str, str], tmp_path: Path) -> None:
    labels = read(exported(tmp_path, {"result": [region()]}, data=data))
    np.testing.assert_array_equal(labels, np.where(REGION, 3, 0))


def test_polygons_are_percentages(tmp_path: Path) -> None:
    points = [[25, 25], [75, 25], [75, 75], [25, 75]]
    value = {"points": points, "closed": True, "polygonlabels": ["cat"]}
    polygon = {**region(type="polygonlabels"), "value": value}
    np.testing.assert_array_equal(read(exported(tmp_path, {"result": [polygon]})), np.where(REGION, 1, 0))


def test_the_newest_annotation_counts_and_cancelled_ones_do_not(tmp_path: Path) -> None:
    cat = {"result": [region(value={"brushlabels": ["cat"]})], "updated_at": "2026-03-02T10:00:00Z"}
    older = {"result": [region()], "updated_at": "2026-03-01T10:00:00Z"}
    cancelled = {"result": [], "updated_at": "2026-03-03T10:00:00Z", "was_cancelled": True}
    labels = read(exported(tmp_path, cat, older, cancelled))
    assert labels is not None
    assert set(np.unique(labels)) == {0, 1}


def test_ground_truth_comes_before_newer_annotations(tmp_path: Path) -> None:
    truth = {"result": [region()], "updated_at": "2026-03-01T10:00:00Z", "ground_truth": True}
    newer = {"result": [], "updated_at": "2026-03-02T10:00:00Z", "ground_truth": False}
    cancelled = {**newer, "ground_truth": True, "was_cancelled": True}
    labels = read(exported(tmp_path, newer, truth, cancelled))
    np.testing.assert_array_equal(labels, np.where(REGION, 3, 0))
    labels = read(exported(tmp_path, newer, cancelled))
    assert labels is not None
    assert not labels.any()


SHAPE = {"x": 1, "y": 1, "width": 5, "height": 5}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"type": "rectanglelabels", "value": {**SHAPE, "rectanglelabels": ["cat"]}}, "'rectanglelabels'"),
        ({"type": "ellipselabels", "value": {"x": 1, "ellipselabels": ["cat"]}}, "'ellipselabels'"),
        ({"type": "keypointlabels", "value": {"x": 1, "keypointlabels": ["cat"]}}, "'keypointlabels'"),
        ({"type": "newlabels", "value": {}}, "'newlabels'"),
        ({"type": "rectangle", "value": SHAPE}, "'rectangle'"),
        (
            {"type": "polygonlabels", "value": {"points": [], "polygonlabels": ["cat"]}},
            "a polygon of 0 points",
        ),
        (
            {"type": "polygonlabels", "value": {"points": [[5, 5]], "polygonlabels": ["cat"]}},
            "a polygon of 1 points",
        ),
    ],
)
def test_regions_that_are_not_masks_are_passed_over(
    changes: dict[str, Any], what: str, tmp_path: Path
) -> None:
    reading, problems = reading_of([IMAGE])
    path = exported(tmp_path, {"result": [{**region(), **changes}, region()]})
    (correction,) = LabelStudioExporter().read(path, reading)
    problems.raise_fatal("label studio")
    np.testing.assert_array_equal(correction.labels, np.where(REGION, 3, 0))
    (problem,) = problems.warnings
    assert (problem.kind, problem.id) == ("passed_over", "a/b")
    assert what in problem.message


def test_zip_files_with_the_tasks(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(exported(tmp_path, {"result": [region()]}), "project-1.json")
    assert LabelStudioExporter().recognises(path)
    np.testing.assert_array_equal(read(path), np.where(REGION, 3, 0))


def test_tasks_that_nobody_looked_at_are_passed_over(tmp_path: Path) -> None:
    assert read(exported(tmp_path)) is None
    assert read(exported(tmp_path, {"result": [region()], "was_cancelled": True})) is None


def test_an_annotation_without_regions_is_background(tmp_path: Path) -> None:
    labels = read(exported(tmp_path, {"result": []}))
    assert labels is not None
    assert not labels.any()


def test_answers_about_the_image_are_passed_over(tmp_path: Path) -> None:
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    labels = read(exported(tmp_path, {"result": [choice, relation, region()]}))
    np.testing.assert_array_equal(labels, np.where(REGION, 3, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": {"rle": [1, 2, 3]}}, r"task 1 \(a/b\): the RLE is cut off"),
        ({"value": {"brushlabels": ["hotdog"]}}, "unknown class 'hotdog'. Did you mean 'hot dog'"),
        ({"value": {"brushlabels": []}}, r"unknown class '\(no label\)'"),
        ({"value": {"brushlabels": ["cat", "hot dog"]}}, "has the labels .*; expected one"),
        ({"original_width": 9}, r"task 1 is for 9×4 pixels, masks/a/b\.png has 8×4"),
        ({"image_rotation": 90}, "drawn on a rotated image"),
    ],
)
def test_regions_that_cannot_be_used_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(exported(tmp_path, {"result": [region(**changes)]}))


def test_regions_that_lack_something_are_named(tmp_path: Path) -> None:
    lacking = region()
    del lacking["value"]["rle"]
    with pytest.raises(DataError, match=r"task 1 \(a/b\): the region lacks 'rle'"):
        read(exported(tmp_path, {"result": [lacking]}))
    lacking = region()
    del lacking["original_height"]
    with pytest.raises(DataError, match="the region lacks 'original_height'"):
        read(exported(tmp_path, {"result": [lacking]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not complete JSON"),
        ("{}", "expected Label Studio's JSON export, a list of tasks"),
        ("[3]", "task 1: expected a task with annotations"),
        ('[{"annotations": [3]}]', "task 1: expected a task with annotations"),
        ('[{"annotations": [{"result": [3]}]}]', "task 1: expected a list of regions"),
        ('[{"annotations": [{"result": []}]}]', r"task 1: does not say which image it is about"),
        ('[{"data": {"n": 1}, "annotations": []}]', "task 1: does not say which image"),
        (
            '[{"data": {"image": "/d/../../b.jpg"}, "annotations": [{"result": []}]}]',
            "leaves the images' folder",
        ),
    ],
)
def test_files_that_cannot_be_used_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_list_of_names_is_no_list_of_tasks(tmp_path: Path) -> None:
    """As classes.json in what another tool or an export-only format wrote."""
    (tmp_path / "classes.json").write_text('["cat", "dog"]')
    (tmp_path / "tasks.json").write_text("[\n{}]")
    format = LabelStudioExporter()
    assert not format.recognises(tmp_path / "classes.json")
    assert format.recognises(tmp_path / "tasks.json")
