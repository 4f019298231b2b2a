from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.errors import DataError
from swtformer.exporters import Correction, Provenance
from swtformer.review.import_warnings import Findings
from swtformer.review.merge_masks import Merged

LABELS = np.zeros((1, 2), dtype=np.uint8)
SAME = Merged(LABELS, 0)
CHANGED = Merged(LABELS, 1)
NOTE = Provenance("", "keep", "")


def findings(*masks: Merged, note: Provenance | None = None) -> Findings:
    """What was found in the file x.json, whose masks are called a, b, …; the note is about the last."""
    found = Findings(Path("x.json"), Path("run") / "pseudo_masks")
    for n, merged in enumerate(masks):
        told = note if n == len(masks) - 1 else None
        found.add(Correction(chr(ord("a") + n), merged.labels, f"x.json: images[{n}]", told), merged)
    return found


def warnings(*masks: Merged, note: Provenance | None = None) -> list[str]:
    return findings(*masks, note=note).warnings(marked=(), has_making=False)


def test_masks_with_nothing_remarkable_are_not_spoken_of() -> None:
    found = findings(SAME, CHANGED)
    found.refuse_unclear()
    for has_making in (True, False):
        assert found.warnings(marked=(), has_making=has_making) == []
        assert findings().warnings(marked=(), has_making=has_making) == []
    findings().refuse_unclear()


@pytest.mark.parametrize(
    ("merged", "warning"),
    [
        (
            replace(CHANGED, is_emptied=True),
            "2 images come back all background, though their masks had classes: b, c. Was anything drawn in "
            "them?",
        ),
        (
            replace(SAME, is_outdated=True),
            "2 masks are in the file without what an earlier import corrected in them: b, c. These "
            "corrections are kept; --base pseudo_masks starts over.",
        ),
        (
            replace(CHANGED, conflicts=1500),
            "3,000 pixels in 2 masks were corrected before, and otherwise in this file: b, c. The values of "
            "the file were taken; import the other file again to take its values.",
        ),
        (
            replace(CHANGED, is_foreign=True),
            "2 masks were exported from pseudo-masks of another making and changed since: b, c. They were "
            "taken whole, with what nobody touched in them. To correct the present pseudo-masks, export "
            "these again.",
        ),
    ],
)
def test_each_finding_is_told_once_with_the_masks_that_it_is_true_of(merged: Merged, warning: str) -> None:
    assert warnings(SAME, merged, merged) == [warning]


def test_several_findings_are_told_in_one_order() -> None:
    everything = Merged(LABELS, 1, conflicts=1, is_emptied=True, is_outdated=True, is_foreign=True)
    told = [warning.split(":")[0] for warning in warnings(everything)]
    assert told == [
        "1 images come back all background, though their masks had classes",
        "1 masks are in the file without what an earlier import corrected in them",
        "1 pixels in 1 masks were corrected before, and otherwise in this file",
        "1 masks were exported from pseudo-masks of another making and changed since",
    ]


def test_five_masks_are_named_and_more_are_hinted_at() -> None:
    emptied = replace(CHANGED, is_emptied=True)
    assert ": a, b, c, d, e. Was" in warnings(*[emptied] * 5)[0]
    assert ": a, b, c, d, e, …. Was" in warnings(*[emptied] * 6)[0]


def test_all_undecided_pixels_gone_need_a_word_of_the_user() -> None:
    gone = replace(CHANGED, undecided=1200, stripped=1200)
    with pytest.raises(
        DataError, match=r"^x\.json: all 2,400 pixels with 255 came back as background\. Were"
    ):
        findings(gone, SAME, gone).refuse_unclear()


@pytest.mark.parametrize("left", [1199, 0])
def test_some_undecided_pixels_left_say_that_none_were_dropped(left: int) -> None:
    gone = replace(CHANGED, undecided=1200, stripped=1200)
    findings(gone, replace(SAME, undecided=1200, stripped=left)).refuse_unclear()


def test_the_exports_own_note_about_any_mask_spares_both_questions() -> None:
    gone = replace(CHANGED, undecided=3, stripped=3)
    found = findings(gone, gone, note=NOTE)
    found.refuse_unclear()
    assert found.warnings(marked=(), has_making=True) == []
    found.add(Correction("last", LABELS, "x.json"), gone)  # a mask without note takes nothing back
    found.refuse_unclear()


@pytest.mark.parametrize(
    ("masks", "marked", "has_making", "is_told"),
    [
        ((CHANGED, CHANGED), (), True, True),
        ((CHANGED, CHANGED), ("a",), True, True),
        ((CHANGED, CHANGED), ("c", "b", "a"), True, False),
        ((CHANGED, CHANGED), (), False, False),
        ((CHANGED, SAME), (), True, False),
        ((CHANGED,), (), True, False),
    ],
)
def test_a_file_in_which_everything_differs_may_be_of_another_making(
    masks: tuple[Merged, ...], marked: tuple[str, ...], has_making: bool, is_told: bool
) -> None:
    """One mask, or masks that the review marked, are rightly all changed; so is anything but pseudo-masks."""
    told = findings(*masks).warnings(marked=marked, has_making=has_making)
    assert [warning.split(",")[0] for warning in told] == [
        f"Each of the {len(masks)} masks in the file differs from the run's"
    ] * is_told
