"""What the words about a network's score say, and where they stay silent."""

from __future__ import annotations

import pytest

from swtformer.scoring.supervision import MASKS, caution, trained_on_note


@pytest.mark.parametrize(
    ("supervision", "words"),
    [
        ("corrected", "some of the masks it was trained on were corrected by hand"),
        ("ground_truth", "it was trained on true masks"),
        ("given", "if any of them were drawn by hand"),
        ("of a later version", "if any of them were drawn by hand"),
    ],
)
def test_hand_drawn_masks_are_a_caution(supervision: str, words: str) -> None:
    assert words in caution(supervision)
    assert caution(supervision).endswith("not weakly supervised.")


def test_pseudo_masks_are_none() -> None:
    assert caution("pseudo_masks") == ""


@pytest.mark.parametrize("supervision", MASKS)
def test_the_note_counts_the_images_and_names_the_masks(supervision: str) -> None:
    note = trained_on_note(8, 9, supervision)
    known = "masks of a folder" if supervision == "given" else f"their {MASKS[supervision]}"
    assert f"network was trained on 8 of the 9, with {known};" in note
    assert "an unknown number of the 9, with" in trained_on_note(None, 9, supervision)
