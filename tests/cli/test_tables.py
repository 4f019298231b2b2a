from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swtformer.cli.screen import say
from swtformer.cli.tables import chain_tables, score_tables
from swtformer.stages.chain_scores import ChainScores, StepScore
from swtformer.store.scores import ClassificationScore, Scores, SegmentationScore

ENTRY = SegmentationScore(
    source="rcam",
    policy="oracle",
    threshold=0.375,
    uses_ground_truth=True,
    miou=0.61234,
    iou={"background": 0.9, "cat": None, "dog": 0.5},
    absent=1,
    frequency_weighted_iou=0.8125,
    miou_per_image=0.375,
    mean_dice=0.71,
    dice={"background": 0.95, "cat": None, "dog": 0.6667},
)
SCORES = Scores(
    split="val",
    images=1449,
    ground_truth="/data/masks",
    labels_from="labels.csv",
    predictions="maps",
    classes=("background", "cat", "dog"),
    scored_classes=("background", "cat"),
    scales=(0.5, 1.0),
    flip=True,
    segmentation=(ENTRY,),
    classification=ClassificationScore(0.95, 0.97, {"cat": 1.0, "dog": None}, images=9),
    per_image=(),
    skipped=3,
    missing=2,
    seeds=2,
)


def shown(capsys: pytest.CaptureFixture[str], **changed: Any) -> str:
    say(*score_tables(replace(SCORES, **changed)))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "Split val, 1449 images, number of seeds: 2.",
        "Masks: /data/masks",
        "Image labels: labels.csv",
        "Scales: 0.5, 1, each with its mirror image.",
        "Means over 2 of 3 classes",
        "3 images have no ground truth",
        "2 images have no prediction",
        "* oracle: the threshold was chosen with the ground truth.",
        "mAP per class 95.00 %, mAP per image 97.00 % (9 images)",
    ],
)
def test_every_figure_says_what_it_is(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert text in shown(capsys)


def test_rows_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown(capsys).splitlines()]
    assert ["rcam", "oracle*", "0.375", "61.23", "37.50", "81.25", "71.00"] in cells
    assert ["background", "90.00"] in cells
    assert cells.count(["cat", "n/a"]) == 2, "IoU and Dice"
    assert ["(dog)", "50.00"] in cells
    assert ["(dog)", "66.67"] in cells
    assert ["dog", "n/a"] in cells


def test_groups_that_were_trained_on_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, known_groups=tuple(f"p{number}" for number in range(6)))
    assert "other images of 6 groups that are scored here (p0, p1, p2, p3, p4, …)" in text


def test_views_in_turn_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Scales: 0.5, 1, every second one mirrored." in shown(capsys, flip="in_turn")


def test_what_was_not_measured_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(
        capsys,
        segmentation=(),
        classification=None,
        ground_truth="",
        labels_from="",
        scales=(),
        scored_classes=SCORES.classes,
        skipped=0,
        missing=0,
    )
    assert text == "Split val, 1449 images, number of seeds: 2.\n"


def test_scores_of_a_part_of_the_pixels_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    given = replace(ENTRY, source="folder", policy="given", uses_ground_truth=False)
    decided = replace(given, policy="decided", coverage=0.875)
    assert "undecided" not in shown(capsys, segmentation=(given,))
    text = " ".join(shown(capsys, segmentation=(given, decided)).split())
    assert "decided: without them, 87.50 % of the pixels" in text


def test_the_stages_of_a_run_are_scored_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    steps = (
        StepScore("pseudo-masks", True, "255 counts as a miss", 0.25),
        StepScore("pseudo-masks", True, "255 left out", 0.5, coverage=0.75),
        StepScore("R-CAM", True, "oracle", 0.5, caution="its threshold was chosen."),
        StepScore("segmentation network", False, "highest class", None, caution="true masks had a part."),
    )
    say(*chain_tables(ChainScores(steps, 9, "/data/masks", "Trained on all.")))
    text = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert "mIoU in %, against the masks of 9 images in /data/masks:" in text
    assert ["pseudo-masks", "known", "255 counts as a miss", "25.00"] in cells
    assert ["pseudo-masks, 75.00 % of the pixels", "known", "255 left out", "50.00"] in cells
    assert ["segmentation network*", "not known", "highest class", "n/a"] in cells
    assert "Trained on all." in text
    assert text.splitlines()[-2:] == [
        "* R-CAM: its threshold was chosen.",
        "* segmentation network: true masks had a part.",
    ]
