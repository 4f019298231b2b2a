"""Columns by their names."""

from __future__ import annotations

import pytest

from swtformer.datasets.tables.column_names import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    LESS_SURE_LABELS,
    find_columns,
    find_series,
    is_metadata,
    is_unnamed,
    plain,
)


@pytest.mark.parametrize("name", ["Image Index", "image_index", "IMAGE-INDEX", "imageIndex"])
def test_names_without_case_and_punctuation(name):
    assert plain(name) == "imageindex"
    assert find_columns(["x", name], IMAGE_COLUMNS) == [name]


def test_the_surest_name_comes_first():
    assert find_columns(["id", "Image", "file name"], IMAGE_COLUMNS) == ["Image", "file name", "id"]
    assert set(LABEL_COLUMNS).isdisjoint({*IMAGE_COLUMNS, *LESS_SURE_LABELS})


@pytest.mark.parametrize(
    ("columns", "series"),
    [
        (["label1", "label2", "x1"], ["label1", "label2"]),
        (["Label_A", "Label_B"], ["Label_A", "Label_B"]),
        (["label", "label.1"], ["label", "label.1"]),
        (["labels 1", "label 2"], ["labels 1", "label 2"]),
        (["x1", "x2"], []),
    ],
)
def test_numbered_columns(columns, series):
    assert find_series(columns, LABEL_COLUMNS) == series


@pytest.mark.parametrize(
    "name",
    ["fold", "Width", "num_cats", "x_min", "Patient ID", "numObjects", "train", "StudyUID", "file_size"],
)
def test_metadata(name):
    assert is_metadata(name)


@pytest.mark.parametrize(
    "name", ["cat", "train_track", "number 5", "no_crack", "widths", "nut", "squid", "Orchid"]
)
def test_classes_are_no_metadata(name):
    assert not is_metadata(name)


@pytest.mark.parametrize(
    ("name", "unnamed"), [("", True), ("Unnamed: 0", True), ("unnamed_1", True), ("cat", False)]
)
def test_columns_without_name(name, unnamed):
    assert is_unnamed(name) == unnamed
