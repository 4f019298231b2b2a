"""Scores of counts worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SwtformerError
from swtformer.scoring.measures import (
    classification_score,
    require_same_classes,
    scored_labels,
    segmentation_score,
)
from swtformer.store.scores import ClassificationScore, SegmentationScore

DATA = ImageSet("pets/val", "table", Path("pets"), ("cat", "dog", "sheep"), ())
NAMES = ("background", *DATA.classes)

# Rows are truths, the last column undecided. Background: 4 hits of 5 truths and 5 predictions; cat: 2 of 3
# truths, one of them undecided, and 2 predictions; dog: predicted once, never true; sheep: absent.
CONFUSION = torch.tensor([[4, 0, 1, 0, 0], [0, 2, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (None, [0, 1, 2, 3]),
        (("sheep", "cat"), [0, 1, 3]),
        (("cat", "cat"), [0, 1]),
        (("background", "dog"), [0, 2]),
        (("background",), [0]),
        ((), [0]),
    ],
)
def test_the_background_is_always_scored(names: tuple[str, ...] | None, labels: list[int]) -> None:
    assert scored_labels(DATA, names) == labels


def test_classes_to_score_must_be_known() -> None:
    with pytest.raises(DataError, match=r"Unknown class 'shep'.* Did you mean 'sheep'"):
        scored_labels(DATA, ("cat", "shep"))


def score_of(
    over: list[int], source: str, policy: str, threshold: float | None, miou_per_image: float = float("nan")
) -> SegmentationScore:
    return segmentation_score(
        CONFUSION, NAMES, over, source, policy, threshold, miou_per_image=miou_per_image
    )


def test_segmentation_by_hand() -> None:
    score = score_of([0, 1, 2, 3], "cam", "fixed", 0.15, miou_per_image=0.25)
    iou = {"background": 4 / 6, "cat": 2 / 3, "dog": 0.0, "sheep": None}
    assert score == SegmentationScore(
        "cam",
        "fixed",
        0.15,
        uses_ground_truth=False,
        miou=pytest.approx(4 / 9),
        iou=iou,
        absent=1,
        frequency_weighted_iou=pytest.approx((5 * 4 / 6 + 3 * 2 / 3 + 1 * 0) / 9),
        miou_per_image=0.25,
        mean_dice=pytest.approx((8 / 10 + 4 / 5 + 0) / 3),
        dice={"background": 8 / 10, "cat": 4 / 5, "dog": 0.0, "sheep": None},
    )


@pytest.mark.parametrize(
    ("over", "miou", "absent"), [([0, 1], 2 / 3, 0), ([0, 2, 3], 1 / 3, 1), ([3], None, 1), ([1], 2 / 3, 0)]
)
def test_the_mean_runs_over_the_scored_labels_that_occur(
    over: list[int], miou: float | None, absent: int
) -> None:
    score = score_of(over, "rcam", "argmax", None)
    assert score.miou == (None if miou is None else pytest.approx(miou))
    assert score.absent == absent
    assert (score.mean_dice is None) == (miou is None)
    assert score.miou_per_image is None, "no image was counted"
    assert list(score.iou) == list(NAMES), "every label has an IoU, whichever the mean runs over"


def test_only_the_oracle_uses_the_ground_truth() -> None:
    flags = {
        policy: score_of([0], "cam", policy, 0.5).uses_ground_truth
        for policy in ("fixed", "argmax", "label_free", "given", "oracle")
    }
    assert [policy for policy, flag in flags.items() if flag] == ["oracle"]


def test_names_and_labels_must_agree() -> None:
    with pytest.raises(ValueError, match="longer"):
        segmentation_score(CONFUSION, NAMES[1:], [0], "cam", "fixed", 0.5, miou_per_image=0.5)


def test_classification_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.7, 0.3], [0.3, 0.6, 0.2]])
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    # cat: true at ranks 1 and 3 of 3; dog: at ranks 1 and 2; sheep: never.
    # Images: cat first; dog second of (cat, dog, sheep); dog and cat first and second.
    assert classification_score(probabilities, labels, DATA.classes) == ClassificationScore(
        map_per_class=pytest.approx(((1 + 2 / 3) / 2 + 1) / 2),
        map_per_image=pytest.approx((1 + 1 / 2 + 1) / 3),
        ap={"cat": pytest.approx((1 + 2 / 3) / 2), "dog": 1.0, "sheep": None},
        images=3,
    )


def test_without_a_positive_there_is_no_precision() -> None:
    score = classification_score(torch.tensor([[0.4]]), torch.tensor([[0]]), ("cat",))
    assert score == ClassificationScore(None, None, {"cat": None}, images=1)


def test_without_a_negative_there_is_no_precision() -> None:
    score = classification_score(torch.tensor([[0.4], [0.2]]), torch.tensor([[1], [1]]), ("cat",))
    assert score == ClassificationScore(None, None, {"cat": None}, images=2)


def test_classes_must_agree_in_names_and_order() -> None:
    require_same_classes(["cat", "dog", "sheep"], DATA)
    for made in (("dog", "cat", "sheep"), ("cat", "dog"), ()):
        shown = ", ".join(made)
        with pytest.raises(SwtformerError, match=f"knows the classes {shown}; pets/val"):
            require_same_classes(made, DATA)
