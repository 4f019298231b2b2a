"""What to know of a segmentation network's scores: which masks it was trained on, and on which images."""

from __future__ import annotations

MASKS = {
    "pseudo_masks": "pseudo-masks",
    "corrected": "corrected masks",
    "ground_truth": "true masks",
    "given": "given masks",
}
"""Kinds of masks that a network is trained on, in words."""

_CAUTIONS = {
    "pseudo_masks": "",
    "corrected": "some of the masks it was trained on were corrected by hand, so its score is not weakly "
    "supervised.",
    "ground_truth": "it was trained on true masks, so its score is not weakly supervised.",
}
_CAUTION_WHERE_UNKNOWN = (
    "it was trained on masks of a given folder; if any of them were drawn by hand, its score is not weakly "
    "supervised."
)


def caution(supervision: str) -> str:
    """What a reader must know of a network's score where masks were, or may have been, drawn by hand.

    Args:
        supervision: kind of the masks it was trained on: pseudo_masks, corrected, ground_truth or given.

    Returns:
        A sentence about "it", the network; empty for pseudo-masks.
    """
    return _CAUTIONS.get(supervision, _CAUTION_WHERE_UNKNOWN)


def trained_on_note(trained_on: int | None, images: int, supervision: str) -> str:
    """What a network's training and its scores have in common, in words.

    Args:
        trained_on: how many of the scored images it was trained on; None where that is not known.
        images: how many were scored.
        supervision: kind of the masks it was trained on.
    """
    known = supervision in MASKS and supervision != "given"
    masks = f"their {MASKS[supervision]}" if known else "masks of a folder"
    count = "an unknown number" if trained_on is None else str(trained_on)
    return (
        "The scored images are from the set that the classifier was trained on. The segmentation network was "
        f"trained on {count} of the {images}, with {masks}; it sees no image labels when it predicts. None "
        "of the figures is about photographs that are new to the run."
    )
