"""Scores as `evaluate` would have measured them."""

from __future__ import annotations

from swtformer.store.scores import Scores, SegmentationScore

CLASSES = ("background", "cat", "dog")


def score_of(
    source: str, policy: str, miou: float | None = 0.5, *, coverage: float = 1.0
) -> SegmentationScore:
    """A score with equal IoU of all labels."""
    return SegmentationScore(
        source,
        policy,
        threshold=None if policy in ("argmax", "given", "decided") else 0.25,
        uses_ground_truth=policy == "oracle",
        miou=miou,
        iou=dict.fromkeys(CLASSES, miou),
        absent=0,
        coverage=coverage,
    )


def scores_of(*entries: tuple[str, str] | SegmentationScore) -> Scores:
    """Scores of two images; entries may be pairs of source and policy."""
    return Scores(
        split="val",
        images=2,
        ground_truth="truth",
        labels_from="labels.csv",
        predictions="maps",
        classes=CLASSES,
        scored_classes=CLASSES,
        scales=(),
        flip=False,
        segmentation=tuple(
            entry if isinstance(entry, SegmentationScore) else score_of(*entry) for entry in entries
        ),
        classification=None,
        per_image=(),
        skipped=0,
        missing=0,
    )
