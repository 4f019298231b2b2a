from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swtformer.errors import DataError
from swtformer.exporters.archive import open_tree
from swtformer.exporters.provenance import (
    NOTES_FILE,
    Provenance,
    fingerprint,
    notes,
    notes_text,
    parsed_notes,
    read_notes,
)

NOTED = {"a/ü": Provenance("0a1b", "drop", "ff")}
NOT_OURS = "the notes are not what `swtformer export` writes; take them out to import without"


def test_notes_come_back(tmp_path: Path) -> None:
    assert parsed_notes(notes(NOTED), "x") == NOTED
    assert parsed_notes(None, "x") == {}
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / NOTES_FILE).write_text(notes_text(NOTED), encoding="utf-8")
    with open_tree(tmp_path) as tree:
        assert read_notes(tree, "top/") == NOTED
        assert read_notes(tree, "") == {}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"a": 1},
        {"a": {"making": "", "ignored": "keep"}},
        {"a": {"making": "", "ignored": "lost", "untouched": ""}},
        {"a": {"making": 1, "ignored": "keep", "untouched": ""}},
        {"a": {"making": "", "ignored": [], "untouched": ""}},
        {"a": {"making": "", "ignored": "keep", "untouched": []}},
    ],
)
def test_other_notes_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match=f"x: {NOT_OURS}"):
        parsed_notes(value, "x")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]"])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / NOTES_FILE).write_text(text)
    with open_tree(tmp_path) as tree, pytest.raises(DataError, match=f"swtformer.json: {NOT_OURS}"):
        read_notes(tree, "")


def test_fingerprints_tell_labels_and_sizes_apart() -> None:
    labels = np.zeros((2, 6), dtype=np.uint8)
    assert fingerprint(labels) == fingerprint(labels.copy())
    assert fingerprint(labels) != fingerprint(labels.reshape(3, 4))
    assert fingerprint(labels) != fingerprint(labels + np.uint8(1))
