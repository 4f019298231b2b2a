"""A mask of one row, six pixels: `O` before any correction, `C` after an earlier one of the first pixel."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from swtformer.exporters import EXPORTERS, Correction
from swtformer.exporters.base import kept
from swtformer.exporters.provenance import Ignored, Provenance, fingerprint
from swtformer.review.merge_masks import Merged, Standing, merge


def row(*values: int) -> np.ndarray:
    return np.array([values], dtype=np.uint8)


O = row(1, 1, 0, 0, 2, 255)  # noqa: E741
C = row(3, 3, 0, 0, 2, 255)


def merged(
    returned: np.ndarray,
    *,
    exported: np.ndarray | None = None,
    making: str = "now",
    standing: Standing | None = None,
    ignored: Ignored = "keep",
) -> Merged:
    """Merge with `C`, or with what stands; the export's note is there where it is said what was exported."""
    untouched = partial(kept, ignored=ignored)
    note = None
    if exported is not None:
        note = Provenance(making, "keep", fingerprint(untouched(exported)))
    return merge(Correction("a", returned, "file", note), standing or Standing(C, (O,), "now"), untouched)


@pytest.mark.parametrize("is_noted", [True, False])
def test_another_region_changed_in_the_original_keeps_the_earlier_correction(is_noted: bool) -> None:
    result = merged(row(1, 1, 0, 1, 2, 255), exported=O if is_noted else None)
    assert result.labels.tolist() == row(3, 3, 0, 1, 2, 255).tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (1, 0, True)


@pytest.mark.parametrize("is_noted", [True, False])
def test_what_was_corrected_twice_is_as_in_the_file(is_noted: bool) -> None:
    result = merged(row(2, 1, 0, 1, 2, 255), exported=O if is_noted else None)
    assert result.labels.tolist() == row(2, 3, 0, 1, 2, 255).tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (2, 1, True)


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_correction_that_both_made_is_no_conflict(is_noted: bool) -> None:
    result = merged(row(3, 3, 0, 1, 2, 255), exported=O if is_noted else None)
    assert result.labels.tolist() == row(3, 3, 0, 1, 2, 255).tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (1, 0, False)


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_correction_is_taken_back_where_it_was_exported(is_noted: bool) -> None:
    before = row(3, 3, 3, 0, 2, 255)
    result = merged(
        row(3, 3, 0, 0, 2, 255),
        exported=before if is_noted else None,
        standing=Standing(before, (O,), "now"),
    )
    assert result.labels.tolist() == row(3, 3, 0, 0, 2, 255).tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (1, 0, False)


def test_a_correction_is_taken_back_whole_only_where_the_export_tells() -> None:
    result = merged(O, exported=C)
    assert (result.labels.tolist(), result.changed) == (O.tolist(), 2)
    result = merged(O)
    assert (result.labels.tolist(), result.changed, result.is_outdated) == (C.tolist(), 0, True)


def test_masks_of_another_making_that_nobody_touched_change_nothing() -> None:
    other = row(2, 2, 2, 2, 2, 2)
    result = merged(other, exported=other, making="before", standing=Standing(O, None, "now"))
    assert (result.labels.tolist(), result.changed, result.is_foreign) == (O.tolist(), 0, False)
    assert not result.is_outdated


def test_masks_of_another_making_that_were_changed_are_taken_whole_and_told() -> None:
    result = merged(row(1, 2, 1, 0, 2, 255), exported=row(1, 2, 2, 0, 2, 255), making="before")
    assert (result.labels.tolist(), result.is_foreign) == (row(1, 2, 1, 0, 2, 255).tolist(), True)


def test_another_making_of_the_same_mask_is_the_same_mask() -> None:
    result = merged(row(1, 1, 0, 1, 2, 255), exported=O, making="before")
    assert (result.labels.tolist(), result.is_foreign) == (row(3, 3, 0, 1, 2, 255).tolist(), False)


def test_an_earlier_correction_that_nobody_touched_undoes_no_later_one() -> None:
    older = row(2, 1, 0, 0, 2, 255)
    result = merged(older, exported=older)
    assert (result.labels.tolist(), result.changed, result.is_outdated) == (C.tolist(), 0, True)


@pytest.mark.parametrize("making", ["", "now"])
def test_masks_that_were_edited_before_they_were_exported_are_corrections(making: str) -> None:
    edited = row(1, 1, 0, 1, 2, 255)
    result = merged(edited, exported=edited, making=making, standing=Standing(O, None, "now"))
    assert (result.labels.tolist(), result.changed) == (edited.tolist(), 1)


def test_pixels_that_the_export_dropped_stay_undecided() -> None:
    result = merged(row(1, 1, 0, 1, 2, 0), standing=Standing(O, None, "now"), ignored="drop")
    assert result.labels.tolist() == row(1, 1, 0, 1, 2, 255).tolist()
    assert (result.changed, result.undecided, result.stripped) == (1, 0, 0)
    result = merged(row(1, 1, 0, 1, 2, 0), standing=Standing(O, None, "now"))
    assert (result.changed, result.undecided, result.stripped) == (2, 1, 1)
    assert merged(row(1, 1, 0, 1, 2, 2), standing=Standing(O, None, "now")).stripped == 0


@pytest.mark.parametrize("is_noted", [True, False])
def test_what_was_exported_from_a_superseded_correction_undoes_no_later_one(is_noted: bool) -> None:
    now = row(3, 3, 3, 3, 2, 255)  # C, corrected in its third and fourth pixel
    standing = Standing(now, (O, C), "now")
    result = merged(row(3, 3, 0, 1, 1, 255), exported=C if is_noted else None, standing=standing)
    assert result.labels.tolist() == row(3, 3, 3, 1, 1, 255).tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (2, 1, True)


def test_a_superseded_correction_is_known_as_it_comes_back() -> None:
    now = row(3, 3, 3, 0, 2, 255)
    standing = Standing(now, (O, C), "now")
    result = merged(row(3, 3, 0, 0, 1, 0), exported=C, standing=standing, ignored="drop")
    assert result.labels.tolist() == row(3, 3, 3, 0, 1, 255).tolist()
    assert (result.changed, result.conflicts) == (1, 0)


def test_corrections_that_a_mask_of_unknown_origin_undoes_are_told() -> None:
    """The note names an earlier correction that was not kept."""
    now = row(3, 3, 3, 0, 2, 255)
    result = merged(row(3, 3, 0, 0, 1, 255), exported=C, standing=Standing(now, (O,), "now"))
    assert (result.changed, result.conflicts) == (2, 1)
    result = merged(row(3, 3, 0, 0, 1, 255), exported=C, standing=Standing(now, (), "now"))
    assert (result.changed, result.conflicts) == (2, 2)
    result = merged(C, exported=C, standing=Standing(now, (), "now"))
    assert (result.labels.tolist(), result.is_outdated) == (now.tolist(), True)


def test_a_pixel_that_both_erased_stays_undecided_where_the_export_drops_255() -> None:
    standing = Standing(row(255, 1, 0, 0, 2, 0), (row(1, 1, 0, 0, 2, 0),), "now")
    result = merged(row(0, 1, 0, 3, 2, 0), exported=row(1, 1, 0, 0, 2, 0), standing=standing, ignored="drop")
    assert result.labels.tolist() == row(255, 1, 0, 3, 2, 0).tolist()
    assert (result.changed, result.conflicts) == (1, 0)


def test_a_mask_that_lost_everything_is_told() -> None:
    assert merged(np.zeros_like(O), exported=O).is_emptied
    assert not merged(np.zeros_like(O), standing=Standing(np.zeros_like(O), None, "")).is_emptied


def test_what_a_format_loses_is_no_change() -> None:
    """YOLO fills holes and drops 255, in the original as in the corrected mask."""
    original = np.ones((5, 5), dtype=np.uint8)
    original[2, 2] = 255
    corrected = original.copy()
    corrected[0, 0] = 2
    untouched = partial(EXPORTERS["yolo"]().as_it_returns, ignored="keep")
    returned = untouched(original).copy()
    returned[4, 4] = 3
    result = merge(Correction("a", returned, "file"), Standing(corrected, (original,), ""), untouched)
    expected = corrected.copy()
    expected[4, 4] = 3
    assert result.labels.tolist() == expected.tolist()
    assert (result.changed, result.conflicts, result.is_outdated) == (1, 0, True)
