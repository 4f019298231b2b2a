"""From counts to scores: numbers and their names put together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from swtformer.datasets.records import ImageSet
from swtformer.errors import SwtformerError
from swtformer.functional.scores import (
    average_precision,
    dice_per_label,
    frequency_weighted_iou,
    iou_per_label,
    mean_average_precision,
    mean_dice,
    mean_iou,
)
from swtformer.label_values import BACKGROUND
from swtformer.store.scores import ClassificationScore, SegmentationScore


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
    *,
    miou_per_image: float,
) -> SegmentationScore:
    """Score of a confusion matrix.

    Args:
        confusion: (N, N) or (N, N+1) counts over all labels, rows truths.
        classes: N names, background first.
        over: labels that the mean runs over.
        source: see `SegmentationScore`, as are policy and threshold.
        policy: how the background was decided.
        threshold: the background's score.
        miou_per_image: mean over images of their mean IoU; nan where no image has one.
    """
    per_label = iou_per_label(confusion)
    return SegmentationScore(
        source=source,
        policy=policy,
        threshold=threshold,
        uses_ground_truth=policy == "oracle",
        miou=_or_none(float(mean_iou(confusion, over=over))),
        iou=_by_name(classes, per_label),
        absent=int(per_label[list(over)].isnan().sum()),
        frequency_weighted_iou=_or_none(float(frequency_weighted_iou(confusion, over=over))),
        miou_per_image=_or_none(miou_per_image),
        mean_dice=_or_none(float(mean_dice(confusion, over=over))),
        dice=_by_name(classes, dice_per_label(confusion)),
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
    per_class = average_precision(probabilities, labels)
    return ClassificationScore(
        map_per_class=_or_none(mean_average_precision(per_class)),
        map_per_image=_or_none(mean_average_precision(average_precision(probabilities.T, labels.T))),
        ap=_by_name(classes, per_class),
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


def _by_name(names: Sequence[str], values: Tensor) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in zip(names, values.tolist(), strict=True)}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
