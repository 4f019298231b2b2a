"""Tasks of Label Studio's exports."""

from __future__ import annotations

import json

import pytest

from swtformer.datasets.annotations.label_studio_tasks import looks_like_tasks, read_tasks, table_holds_tasks
from swtformer.datasets.problems import Problems
from swtformer.errors import DataError

CHOICE = {"type": "choices", "from_name": "c", "value": {"choices": ["cat"]}}


def task(image="a.jpg", **fields):
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": [CHOICE], **fields}]}


@pytest.fixture
def read(tmp_path):
    def read_file(content, name="x.json", field=None):
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        problems = Problems()
        tasks = read_tasks(file, field, problems)
        problems.raise_fatal("set")
        return tasks, [problem.message for problem in problems.warnings]

    return read_file


@pytest.mark.parametrize(
    ("value", "are_tasks"),
    [
        ([task()], True),
        ([{"id": 1, "data": {"image": "a"}, "annotations": []}], True),
        ([{"id": 1, "data": {}, "completions": []}], True),
        ([{"id": 1, "annotator": 2, "image": "a", "choice": "cat"}], True),
        ([{"id": 1, "image": "a", "annotations": [{"label": "cat"}]}], False),  # CreateML
        ([{"annotations": []}], False),
        ([], False),
        ({"annotations": []}, False),
    ],
)
def test_recognised_by_the_first_task(value, are_tasks):
    assert looks_like_tasks(value) == are_tasks


def test_who_said_what_when(read):
    truth = task(completed_by={"id": 3}, updated_at="2024-02", created_at="2024-01", ground_truth=True)
    ((found,), _) = read([truth])
    (annotation,) = found.annotations
    assert (found.image, annotation.annotator, annotation.when, annotation.is_truth) == (
        "a.jpg",
        "3",
        "2024-02",
        True,
    )
    assert annotation.answers[0].labels == ("cat",)
    assert found.source.endswith("x.json: task 7")


def test_skipped_annotations_are_left_out_and_empty_ones_are_not(read):
    ((skipped, empty), _) = read([task(was_cancelled=True), task(result=[])])
    assert skipped.annotations == ()
    assert [annotation.answers for annotation in empty.annotations] == [()]


def test_the_short_exports_have_a_row_for_each_annotation(read):
    rows = [
        {"id": 7, "annotator": 1, "image": "a.jpg", "choice": "cat", "updated_at": "1"},
        {"id": 7, "annotator": 2, "image": "a.jpg", "choice": {"choices": ["cat", "dog"]}, "updated_at": "2"},
    ]
    ((found,), _) = read(rows)
    assert [annotation.answers[0].labels for annotation in found.annotations] == [("cat",), ("cat", "dog")]
    assert [(annotation.annotator, annotation.when) for annotation in found.annotations] == [
        ("1", "1"),
        ("2", "2"),
    ]


def test_csv_and_its_cells_of_json(read, tmp_path):
    cell = json.dumps({"choices": ["cat", "dog"]}).replace('"', '""')
    text = f'annotation_id,annotator,choice,id,image,lead_time\n1,1,"{cell}",7,a.jpg,3\n'
    ((found,), _) = read(text, name="x.csv")
    assert found.annotations[0].answers[0].labels == ("cat", "dog")
    assert table_holds_tasks(tmp_path / "x.csv")
    (tmp_path / "y.csv").write_text("id,image,label\n1,a.jpg,cat\n")
    assert not table_holds_tasks(tmp_path / "y.csv")


def test_the_field_of_images_is_asked_for(read):
    two = [{"id": 1, "data": {"left": "a.jpg", "right": "b.jpg"}, "annotations": []}]
    with pytest.raises(DataError, match=r"which field holds the images.* there are: left, right"):
        read(two)
    assert read(two, field="right")[0][0].image == "b.jpg"
    with pytest.raises(DataError, match="no task has the field 'top'; there are: left, right"):
        read(two, field="top")


def test_the_column_of_choices_is_asked_for(read):
    row = {"id": 7, "annotator": 1, "image": "a.jpg", "colour": "red", "shape": "round"}
    with pytest.raises(DataError, match="which of the columns colour, shape holds the choices"):
        read([row])
    ((found,), said) = read([{**row, "label": "cat"}])
    assert found.annotations[0].answers[0].labels == ("cat",)
    assert "of the columns colour, shape, label, label is taken as the labels" in said[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not an export of Label Studio; .* got an empty list"),
        ([task(), "x"], "is not an export of Label Studio"),
        (
            [task(), {"id": 8, "data": {"image": 5}, "annotations": []}],
            "task 8: needs an image in data.image",
        ),
    ],
)
def test_other_files_are_refused(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content)
