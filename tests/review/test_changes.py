"""Masks of one row: `ORIGINAL` was exported, `CURRENT` is the run's mask after an earlier import."""

from __future__ import annotations

import numpy as np
import pytest

from swtformer.exporters import Correction
from swtformer.exporters.fingerprints import fingerprint
from swtformer.exporters.reading import Ignored
from swtformer.exporters.voc import VocExporter
from swtformer.exporters.yolo import YoloExporter
from swtformer.review.changes import Change, change


def row(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.uint8)


ORIGINAL = row(0, 1, 1, 255, 0)
CURRENT = row(2, 1, 1, 255, 0)


def changed(
    returned: np.ndarray,
    *,
    exported: np.ndarray | None = ORIGINAL,
    current: np.ndarray = ORIGINAL,
    ignored: Ignored = "keep",
) -> Change:
    noted = None if exported is None else fingerprint(exported)
    return change(Correction("a", returned, "file", noted, ignored), current, ORIGINAL, VocExporter())


def test_what_differs_from_the_export_is_taken() -> None:
    found = changed(row(0, 1, 3, 255, 0))
    assert found.labels.tolist() == [[0, 1, 3, 255, 0]]
    assert (found.pixels, found.exported_from) == (1, "current")


@pytest.mark.parametrize(
    ("exported", "source"), [(ORIGINAL, "original"), (CURRENT, "current"), (row(7, 7, 7, 7, 7), "other")]
)
def test_a_mask_that_is_as_exported_changes_nothing(exported: np.ndarray, source: str) -> None:
    found = changed(exported, exported=exported, current=CURRENT)
    assert (found.pixels, found.exported_from) == (0, source)
    assert found.labels is CURRENT


@pytest.mark.parametrize("returned", [ORIGINAL, CURRENT])
def test_without_a_fingerprint_a_mask_that_the_run_has_changes_nothing(returned: np.ndarray) -> None:
    found = changed(returned, exported=None, current=CURRENT)
    assert (found.labels is CURRENT, found.pixels) == (True, 0)


def test_the_file_wins_over_an_earlier_correction() -> None:
    returned = row(0, 1, 3, 255, 0)
    for exported, source in ((ORIGINAL, "original"), (None, "unknown")):
        found = changed(returned, exported=exported, current=CURRENT)
        assert found.labels.tolist() == returned.tolist()
        assert (found.pixels, found.exported_from) == (2, source)


def test_a_correction_of_a_corrected_mask_is_from_the_current_one() -> None:
    found = changed(row(2, 1, 3, 255, 0), exported=CURRENT, current=CURRENT)
    assert (found.pixels, found.exported_from) == (1, "current")


def test_a_mask_of_another_version_is_taken_whole() -> None:
    found = changed(row(5, 1, 0, 0, 5), exported=row(5, 5, 5, 5, 5))
    assert found.labels.tolist() == [[5, 1, 0, 0, 5]]
    assert found.exported_from == "other"


def test_dropped_255_stays_where_nobody_drew() -> None:
    dropped = row(0, 1, 1, 0, 0)
    for exported, ignored in ((dropped, "keep"), (None, "drop")):
        found = changed(row(3, 1, 1, 0, 0), exported=exported, ignored=ignored)  # type: ignore[arg-type]
        assert found.labels.tolist() == [[3, 1, 1, 255, 0]]
    assert changed(dropped, exported=None, ignored="drop").pixels == 0


def test_erased_255_is_background() -> None:
    for exported in (ORIGINAL, None):
        found = changed(row(0, 1, 1, 0, 0), exported=exported)
        assert found.labels.tolist() == [[0, 1, 1, 0, 0]]


def test_what_a_format_cannot_hold_stays_where_nobody_drew() -> None:
    """YOLO fills holes and drops 255."""
    original = np.ones((5, 5), dtype=np.uint8)
    original[2, 2], original[1, 1] = 0, 255
    exported = YoloExporter().round_trip(original, ignored="keep")
    returned = exported.copy()
    returned[4, 4] = 3
    item = Correction("a", returned, "file", fingerprint(exported))
    found = change(item, original, original, YoloExporter())
    expected = original.copy()
    expected[4, 4] = 3
    assert found.labels.tolist() == expected.tolist()
    assert (found.pixels, found.exported_from) == (1, "current")
