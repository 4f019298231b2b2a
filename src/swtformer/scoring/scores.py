"""What was measured: the contents of scores.json, with all that a number needs to be understood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.functional.scores import (
    average_precision_per_class,
    average_precision_per_image,
    iou_per_label,
    mean_average_precision,
    mean_iou,
)

BACKGROUND = "background"


@dataclass(frozen=True)
class SegmentationScore:
    """IoU of one kind of masks.

    Attributes:
        source: "cam", "refined", or "folder" for masks from elsewhere.
        policy: fixed, argmax, label_free, oracle; for masks from elsewhere "given" or, without their
            undecided pixels, "decided".
        threshold: background score; None where a background map competed, or where it is not known.
        uses_ground_truth: the threshold was chosen by looking at the ground truth (oracle).
        miou: mean over the scored labels that occur; None if none does.
        iou: IoU of every label, 0 to 1; None where it is absent from truth and masks.
        absent: number of scored labels left out of the mean for that reason.
        coverage: part of the pixels with ground truth that the score is about; below 1 only for "decided".
    """

    source: str
    policy: str
    threshold: float | None
    uses_ground_truth: bool
    miou: float | None
    iou: dict[str, float | None]
    absent: int
    coverage: float = 1.0


@dataclass(frozen=True)
class ClassificationScore:
    """Average precision of the image-level classifier.

    Attributes:
        map_per_class: textbook mAP, mean over the classes that have one.
        map_per_image: mean over images that show some of the classes, as MCTformer's code has it.
        ap: AP of each class; None for classes that no image shows, or every image.
        images: number of images with labels and probabilities.

    Both means are None where there is nothing to take them over.
    """

    map_per_class: float | None
    map_per_image: float | None
    ap: dict[str, float | None]
    images: int


@dataclass(frozen=True)
class ImageScore:
    """Mean IoU of one image over the scored labels that occur in its truth or mask."""

    id: str
    miou: float


@dataclass(frozen=True)
class Scores:
    """All that `evaluate` measured; scores.json holds the same.

    Attributes:
        split: data set or split scored.
        images: number of images whose masks were scored (of those classified where there are no masks).
        ground_truth: folder of the ground truth; empty where there is none.
        labels_from: where the image-level labels came from.
        predictions: folder of the maps or masks that were scored.
        classes: all labels, background first.
        scored_classes: labels that the means run over.
        seeds: number of training seeds behind the figures.
        scales: image scales of the maps; empty for masks from elsewhere.
        flip: whether mirrored images were added.
        segmentation: one entry per source and policy.
        classification: None where no image has labels.
        per_image: for the source and policy of the run's masks.
        skipped: images of the set that were not scored, having no ground truth.
        missing: images without a prediction, scored as background.
        trained_on: how many of the images the run's segmentation network was trained on; None where that is
            not known.
        supervision: what the network whose masks these are was trained on; None for other masks and maps.
        caution: what drawn masks had to do with that, in words; empty where nothing.
    """

    split: str
    images: int
    ground_truth: str
    labels_from: str
    predictions: str
    classes: tuple[str, ...]
    scored_classes: tuple[str, ...]
    scales: tuple[float, ...]
    flip: bool
    segmentation: tuple[SegmentationScore, ...]
    classification: ClassificationScore | None
    per_image: tuple[ImageScore, ...]
    skipped: int
    missing: int
    seeds: int = field(default=1)
    trained_on: int | None = None
    supervision: str | None = None
    caution: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values, as scores.json holds them."""
        return asdict(self)


def scored_labels(data: ImageSet, score_classes: Sequence[str] | None) -> list[int]:
    """Labels that the means run over: background and the named classes, all by default.

    Raises:
        DataError: a name is not among the set's classes.
    """
    names = data.classes if score_classes is None else [name for name in score_classes if name != BACKGROUND]
    return [0, *sorted({data.class_index(name) + 1 for name in names})]


def segmentation_score(
    confusion: Tensor,
    classes: Sequence[str],
    over: Sequence[int],
    source: str,
    policy: str,
    threshold: float | None,
) -> SegmentationScore:
    """Put numbers and names together; `confusion` is over all labels, `classes` starts with background."""
    per_label = iou_per_label(confusion)
    return SegmentationScore(
        source=source,
        policy=policy,
        threshold=threshold,
        uses_ground_truth=policy == "oracle",
        miou=_or_none(float(mean_iou(confusion, over=over))),
        iou={name: _or_none(value) for name, value in zip(classes, per_label.tolist(), strict=True)},
        absent=int(per_label[list(over)].isnan().sum()),
    )


def classification_score(
    probabilities: Tensor, labels: Tensor, classes: Sequence[str]
) -> ClassificationScore:
    """Both readings of mAP over all classes.

    Args:
        probabilities: (N, C) class probabilities, N at least 1.
        labels: (N, C) 0/1 image-level labels.
        classes: C names, without background.

    """
    per_class = average_precision_per_class(probabilities, labels)
    return ClassificationScore(
        map_per_class=_or_none(mean_average_precision(per_class)),
        map_per_image=_or_none(mean_average_precision(average_precision_per_image(probabilities, labels))),
        ap={name: _or_none(value) for name, value in zip(classes, per_class.tolist(), strict=True)},
        images=len(labels),
    )


def require_same_classes(made: Sequence[str], data: ImageSet) -> None:
    """Refuse to score masks of one class list against ground truth of another.

    Raises:
        SwtformerError: the names or their order differ.
    """
    if tuple(made) != data.classes:
        raise SwtformerError(
            f"The run knows the classes {', '.join(made)}; {data.name} has {', '.join(data.classes)}. "
            "Name the run's classes in its order with --data.classes."
        )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
