"""Manifests of SageMaker Ground Truth."""

from __future__ import annotations

import json

import pytest

from swtformer.datasets import open_dataset
from swtformer.datasets.tables.row_files import read_rows
from swtformer.settings import DataSettings


def written(folder, *lines):
    file = folder / "output.manifest"
    file.write_text("".join(json.dumps({"source-ref": "s3://b/a.jpg", **line}) + "\n" for line in lines))
    return read_rows(file)


@pytest.mark.parametrize(
    ("job", "metadata", "labels"),
    [
        (0, {"class-name": "cat", "confidence": 0.9}, ["cat"]),
        ([0, 2], {"class-map": {"0": "cat", "2": "emu"}}, ["cat", "emu"]),
        ([], {"class-map": {}}, []),
        (
            {"annotations": [{"class_id": 1}, {"class_id": 0}]},
            {"class-map": {"0": "cat", "1": "dog"}},
            ["dog", "cat"],
        ),
    ],
)
def test_numbers_get_their_names(tmp_path, job, metadata, labels):
    table = written(tmp_path, {"my-job": job, "my-job-metadata": metadata})
    assert table.columns == ("source-ref", "labels")
    assert [row.cells for row in table.rows] == [{"source-ref": "s3://b/a.jpg", "labels": labels}]
    assert table.notes[0] == "labels are those of 'my-job', by the names in 'my-job-metadata'"


def test_an_image_that_was_not_labelled_has_no_labels(tmp_path):
    table = written(tmp_path, {"job": 0, "job-metadata": {"class-name": "cat"}}, {})
    assert [row.cells.get("labels") for row in table.rows] == [["cat"], None]
    assert table.notes[1:] == ("1 of 2 rows have no 'job', so their labels are unknown",)


@pytest.mark.parametrize(
    ("job", "metadata", "is_told"),
    [
        (0, {"class-name": "cat", "confidence": 0.5}, True),
        ([0], {"class-map": {"0": "cat"}, "confidence-map": {"0": 0.5}}, True),
        (
            {"annotations": [{"class_id": 0}]},
            {"class-map": {"0": "cat"}, "objects": [{"confidence": 0.5}]},
            True,
        ),
        ({"annotations": [{"class_id": 0}]}, {"class-map": {"0": "cat"}, "objects": [{}]}, False),
        (0, {"class-name": "cat", "objects": 1}, False),
        (0, {"class-name": "cat"}, False),
    ],
)
def test_confidences_are_told_once(tmp_path, job, metadata, is_told):
    table = written(tmp_path, *[{"job": job, "job-metadata": metadata}] * 2)
    assert table.notes[1:] == (("labels count whatever their confidence",) if is_told else ())


def test_an_image_that_was_not_labelled_is_unlabelled_in_the_set(tmp_path, write_images):
    write_images(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    done = {"job": [0], "job-metadata": {"class-map": {"0": "cat"}}}
    lines = [done, {"source-ref": "s3://b/b.jpg"}, {"source-ref": "s3://b/c.jpg", **done, "job": []}]
    path = written(tmp_path, *lines).path
    data = open_dataset(path, DataSettings())
    assert {record.id: record.present for record in data.records} == {"a": (0,), "b": None, "c": ()}


@pytest.mark.parametrize(
    ("job", "metadata"), [(0, {}), ([1], {"class-map": {"0": "cat"}}), ({}, {}), (0, "cat")]
)
def test_numbers_without_a_name_are_faults(tmp_path, job, metadata):
    table = written(tmp_path, {"job": job, "job-metadata": metadata})
    assert table.rows == ()
    assert table.faults == (f"{table.path}:1: 'job-metadata' does not name the class of 'job'.",)


def test_other_tables_are_left_alone(tmp_path):
    jobs = dict.fromkeys(("one", "one-metadata", "two", "two-metadata"), 0)
    assert written(tmp_path, jobs).columns == ("source-ref", *jobs)
    assert written(tmp_path, {"job": 0}).columns == ("source-ref", "job")
