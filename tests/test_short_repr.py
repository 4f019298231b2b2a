from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from swtformer.cam.maps import ClassMaps
from swtformer.datasets.records import ImageSet, Record
from swtformer.short_repr import LISTED, ShortRepr
from swtformer.stages.localize import LocalizeResult
from swtformer.store.failures import Failure
from swtformer.store.run import RefinedRun, Run
from swtformer.store.scores import ClassificationScore, Scores, SegmentationScore


@dataclass(frozen=True, repr=False)
class Holder(ShortRepr):
    value: Any


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        ("text", "'text'"),
        (None, "None"),
        (Path("a/b"), "'a/b'"),
        ((), "()"),
        (("cat", "dog"), "('cat', 'dog')"),
        (("cat",) * (LISTED + 1), f"<{LISTED + 1}>"),
        ((Failure("a", "mask", "a.png", "reason"),), "<1>"),
        ({"a": 1}, "<1>"),
        (torch.zeros(2, 3), "<2×3>"),
        (Run("runs/a"), "Run('runs/a')"),
        (RefinedRun("runs/a"), "RefinedRun('runs/a')"),
    ],
)
def test_values(value: Any, shown: str) -> None:
    assert repr(Holder(value)) == f"Holder(value={shown})"


def test_a_result_with_many_failures() -> None:
    result = LocalizeResult(10, 2, (Failure("a", "localize", "a.png", "reason"),) * 1200)
    assert repr(result) == "LocalizeResult(done=10, reused=2, failures=<1200>)"


def test_a_data_set_with_many_images_and_classes() -> None:
    records = tuple(Record(str(number), Path(f"{number}.png"), (0,)) for number in range(5000))
    classes = tuple(f"class {number}" for number in range(80))
    shown = repr(ImageSet("photos/train", "folder", Path("photos"), classes, records))
    assert shown.startswith("ImageSet('photos/train', folder: 5000 images, 80 classes (class 0, class 1, ")
    assert shown.endswith("class 7, …), 0 problems)")
    few = ImageSet("photos", "folder", Path("photos"), ("cat", "dog"), records[:3])
    assert repr(few) == "ImageSet('photos', folder: 3 images, 2 classes (cat, dog), 0 problems)"


def test_scores_show_what_is_quoted() -> None:
    def entry(policy: str, miou: float | None) -> SegmentationScore:
        return SegmentationScore("cam", policy, None, False, miou, {"cat": 0.5}, 0)

    about: dict[str, Any] = dict.fromkeys(("ground_truth", "labels_from", "predictions"), "")
    about |= {"classes": (), "scored_classes": (), "scales": (), "flip": True, "skipped": 0, "missing": 0}
    scores = Scores(
        split="photos",
        images=9,
        segmentation=(entry("argmax", 0.1), entry("label_free", 0.51234)),
        classification=ClassificationScore(None, None, {}, 9),
        per_image=(),
        **about,
    )
    assert repr(scores) == "Scores('photos', 9 images: CAM (Label-free threshold) mIoU 0.512, mAP n/a)"


def test_class_maps_show_their_sizes() -> None:
    made = ClassMaps(maps=torch.zeros(2, 5, 7, 7), bias=torch.zeros(2, 5), logits=torch.zeros(2, 5))
    assert repr(made) == "ClassMaps(maps=<2×5×7×7>, bias=<2×5>, logits=<2×5>)"
