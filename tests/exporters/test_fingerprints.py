from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swtformer.errors import DataError
from swtformer.exporters.archive import open_tree
from swtformer.exporters.fingerprints import (
    FILE,
    fingerprint,
    fingerprints_text,
    parsed_fingerprints,
    read_fingerprints,
)


def test_fingerprints_are_read_as_written(tmp_path: Path) -> None:
    written = {"a/ü": "ff"}
    assert parsed_fingerprints(None, "x") == {}
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / FILE).write_text(fingerprints_text(written), encoding="utf-8")
    with open_tree(tmp_path) as tree:
        assert read_fingerprints(tree, "top/") == written
        assert read_fingerprints(tree, "") == {}


@pytest.mark.parametrize("value", [[], "a", {"a": 1}, {"a": {}}])
def test_other_content_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="x: expected the fingerprints"):
        parsed_fingerprints(value, "x")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]"])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with open_tree(tmp_path) as tree, pytest.raises(DataError, match=r"swtformer\.json: expected"):
        read_fingerprints(tree, "")


def test_fingerprints_tell_labels_and_sizes_apart() -> None:
    labels = np.zeros((2, 6), dtype=np.uint8)
    assert fingerprint(labels) == fingerprint(labels.copy())
    assert fingerprint(labels) != fingerprint(labels.reshape(3, 4))
    assert fingerprint(labels) != fingerprint(labels + np.uint8(1))
