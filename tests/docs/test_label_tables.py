"""The page on label tables lists the words that the code knows, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swtformer.datasets.background import BACKGROUND_NAMES, NOTHING_WORDS
from swtformer.datasets.labels import CLASS_FILES
from swtformer.datasets.tables import column_names
from swtformer.datasets.tables.class_columns import ABSENT, PRESENT
from swtformer.datasets.tables.image_search import IMAGE_FOLDERS, MASK_FOLDERS
from swtformer.datasets.tables.row_files import SUFFIXES
from swtformer.datasets.tables.spreadsheets import OLD
from swtformer.datasets.tables.table_files import SPLIT_TABLES, TABLE_FOLDERS, TABLE_NAMES

PAGE = Path(__file__).parents[2] / "docs/label-tables.md"

WORDS = {
    "Image names, the surest first": column_names.IMAGE_COLUMNS,
    "Labels": column_names.LABEL_COLUMNS,
    "Labels, where no column has one of these names": column_names.LESS_SURE_LABELS,
    "Labels, as the end of a name": column_names.LABEL_ENDINGS,
    "Numbers of a class list": column_names.NUMBER_COLUMNS,
    "Masks": column_names.MASK_COLUMNS,
    "Splits": column_names.SPLIT_COLUMNS,
    "Splits that are not read, of 0 and 1": column_names.SPLIT_FLAGS,
    "How sure a row is, or whether it holds": column_names.SCORE_COLUMNS,
    "Outlines": column_names.OUTLINE_COLUMNS,
    "Boxes, which make a row an object": column_names.BOX_COLUMNS,
    "No class, although of numbers": sorted(column_names.METADATA),
    "A class is there": sorted(PRESENT),
    "A class is not there": sorted(ABSENT),
    "The image shows no class": (*sorted(BACKGROUND_NAMES), *NOTHING_WORDS),
    "Class lists": CLASS_FILES,
    "Tables that are read whatever lies beside them": TABLE_NAMES,
    "Tables in a folder for each split": SPLIT_TABLES,
    "Folders of tables": TABLE_FOLDERS,
    "Folders of images, looked into first": tuple(filter(None, IMAGE_FOLDERS)),
    "Folders of masks, which hold no images": MASK_FOLDERS,
    "Extensions": (*sorted(SUFFIXES - OLD), ".txt"),
    "Extensions that are refused": sorted(OLD),
}


@pytest.fixture(scope="module")
def listed() -> dict[str, list[str]]:
    text = re.sub(r"\n  (?=\S)", " ", PAGE.read_text(encoding="utf-8"))
    found = re.findall(r"^- \*\*(.+)\*\*: (.+)\.$", text, re.MULTILINE)
    return {name: re.findall("`(.+?)`", words) for name, words in found}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_a_list_are_those_of_the_code(listed: dict[str, list[str]], name: str) -> None:
    assert listed[name] == list(WORDS[name])


def test_no_list_is_of_something_else(listed: dict[str, list[str]]) -> None:
    assert list(listed) == list(WORDS)
