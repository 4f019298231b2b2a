"""Scores: confusion matrix, intersection over union, Dice, average precision.

Only `ConfusionMatrix` and `ImageMean` keep state; they add up image by image.

Label images hold 0 for background and k+1 for class index k, so N = C + 1 labels; 255 is counted separately.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swtformer.label_values import IGNORED

_PIXELS = 1 << 22
"""Pixels that are counted at a time; it bounds the memory of large images."""


def confusion_matrix(predicted: Tensor, truth: Tensor, *, labels: int) -> Tensor:
    """Count the pixels of each truth under each prediction.

    Pixels whose truth is 255 are left out. A predicted 255 ("undecided") is a miss of the true label and no
    false alarm of another one; leaving such pixels out would let a method choose what it is scored on.

    Args:
        predicted: uint8 label image of any shape.
        truth: uint8 label image of the same shape.
        labels: number N of labels with background, 255 at most.

    Returns:
        (N, N+1) int64; rows are truths, columns are predictions, the last column holds undecided pixels.

    Raises:
        ValueError: shapes or types differ, or a value is neither below `labels` nor 255.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"Expected equal shapes, got {tuple(predicted.shape)} and {tuple(truth.shape)}.")
    if predicted.dtype != torch.uint8 or truth.dtype != torch.uint8:
        raise ValueError(f"Expected uint8 label images, got {predicted.dtype} and {truth.dtype}.")
    # All 256 × 256 pairs in one count: faster than masking first, and values out of range are found.
    counts = torch.zeros(256 * 256, dtype=torch.int64, device=truth.device)
    for some, guesses in zip(
        truth.reshape(-1).split(_PIXELS), predicted.reshape(-1).split(_PIXELS), strict=True
    ):
        counts += torch.bincount(some.int().mul_(256).add_(guesses), minlength=256 * 256)
    counts = counts.view(256, 256)
    stray = counts[labels:IGNORED].sum() + counts[:, labels:IGNORED].sum()
    if stray > 0:
        raise ValueError(f"Expected values 0 to {labels - 1} or 255, got others in {int(stray)} pixels.")
    return torch.cat([counts[:labels, :labels], counts[:labels, IGNORED:]], dim=1)


class ConfusionMatrix:
    """Confusion of a whole data set, added up image by image in int64.

    Attributes:
        counts: (N, N+1) int64, as `confusion_matrix` gives it.
    """

    def __init__(self, labels: int) -> None:
        self.counts = torch.zeros(labels, labels + 1, dtype=torch.int64)

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Add one image; see `confusion_matrix`."""
        self.counts += confusion_matrix(predicted, truth, labels=len(self.counts))


def label_areas(confusion: Tensor) -> Tensor:
    """What the scores of single labels need of a confusion matrix: its areas in pixels.

    Args:
        confusion: (..., N, N) or (..., N, N+1) counts, rows truths; see `confusion_matrix`.

    Returns:
        (..., 3, N): true positives, truths and predictions of each label.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return torch.stack([hits, confusion.sum(-1), confusion.sum(-2)[..., : confusion.shape[-2]]], dim=-2)


def iou_of_areas(areas: Tensor) -> Tensor:
    """`iou_per_label` from the (..., 3, N) areas that `label_areas` gives."""
    hits, truths, predictions = areas.double().unbind(-2)
    return hits / (truths + predictions - hits)


def iou_per_label(confusion: Tensor) -> Tensor:
    """Intersection over union of each label: true positives / (truths + predictions − true positives).

    Args:
        confusion: (..., N, N) or (..., N, N+1) counts, rows truths; see `confusion_matrix`.

    Returns:
        (..., N) float64 in [0, 1]; nan for labels that are absent from truth and prediction.
    """
    return iou_of_areas(label_areas(confusion))


def mean_iou(confusion: Tensor, *, over: Sequence[int] | None = None) -> Tensor:
    """Mean of `iou_per_label` over the labels that occur in truth or prediction.

    Args:
        confusion: (..., N, N) or (..., N, N+1) counts over *all* labels.
        over: labels that the mean runs over, all by default. Pixels that are another label, or are predicted
            as one, still count as errors of those in the mean.

    Returns:
        (...) float64 in [0, 1]; nan where none of the labels occurs.
    """
    per_label = iou_per_label(confusion)
    return (per_label if over is None else per_label[..., list(over)]).nanmean(-1)


def frequency_weighted_iou(confusion: Tensor, *, over: Sequence[int] | None = None) -> Tensor:
    """Mean of `iou_per_label`, each label weighted by its true pixels (FCN, doi:10.1109/CVPR.2015.7298965).

    With n_a true pixels of label a, it is Σ_a n_a · IoU_a / Σ_a n_a. Frequent labels, often the background,
    decide it: unlike the mean IoU, it hardly notices a small class that is never found.

    Args:
        confusion: (..., N, N) or (..., N, N+1) counts over *all* labels, rows truths.
        over: labels that both sums run over, all by default.

    Returns:
        (...) float64 in [0, 1]; nan where none of the labels is in the truth.
    """
    per_label, pixels = iou_per_label(confusion).nan_to_num(), confusion.sum(-1).double()
    if over is not None:
        per_label, pixels = per_label[..., list(over)], pixels[..., list(over)]
    return (per_label * pixels).sum(-1) / pixels.sum(-1)


def dice_per_label(confusion: Tensor) -> Tensor:
    """Dice coefficient (F1 of the pixels) of each label: 2 · true positives / (truths + predictions).

    It is 2 · IoU / (1 + IoU) of the same label.

    Args:
        confusion: (..., N, N) or (..., N, N+1) counts, rows truths; undecided pixels are truths only.

    Returns:
        (..., N) float64 in [0, 1]; nan for labels that are absent from truth and prediction.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    pixels = confusion.sum(-1) + confusion.sum(-2)[..., : confusion.shape[-2]]
    return 2 * hits.double() / pixels.double()


def mean_dice(confusion: Tensor, *, over: Sequence[int] | None = None) -> Tensor:
    """Mean of `dice_per_label` over the labels that occur in truth or prediction; see `mean_iou`.

    Returns:
        (...) float64 in [0, 1]; nan where none of the labels occurs.
    """
    per_label = dice_per_label(confusion)
    return (per_label if over is None else per_label[..., list(over)]).nanmean(-1)


class ImageMean:
    """Mean of a score over images, each counted once whatever its size; added up image by image.

    Of `mean_iou` it is the mIoU per image: (1/I) Σ_i mean IoU of image i, over the I images that have one.
    A label counts in the images that show it, or are said to show it, and in no others.

    Attributes:
        total: (M,) float64 sums, one for each way of scoring an image.
        images: (M,) int64 numbers of images whose score is not nan.
    """

    def __init__(self, ways: int = 1) -> None:
        self.total = torch.zeros(ways, dtype=torch.float64)
        self.images = torch.zeros(ways, dtype=torch.int64)

    def update(self, scores: Tensor) -> None:
        """Add the (M,) scores of one image."""
        self.total += scores.nan_to_num()
        self.images += ~scores.isnan()

    def means(self) -> Tensor:
        """(M,) float64; nan where no image has a score."""
        return self.total / self.images


def average_precision(scores: Tensor, truth: Tensor) -> Tensor:
    """Textbook average precision along the first axis: sum over ranks of precision times gain in recall.

    Equal scores share one rank, so the result doesn't depend on the order of the rows. No interpolation.

    Of (images, classes) it is the AP of each class over the images, the textbook reading; its mean is
    `map_per_class`. Of (classes, images) it is the AP of each image over the classes, as MCTformer's code has
    it; its mean is `map_per_image`. That asks whether an image's own classes rank first, does not rank
    images, and is usually higher. Images that show every class are left out here; that code counts them as 1.

    Args:
        scores: (N, L) finite scores, higher means surer.
        truth: (N, L) of 0 and 1.

    Returns:
        (L,) float64 in [0, 1], nan for columns without a positive or without a negative, where every order of
        the rows would be perfect.

    Raises:
        ValueError: the shapes differ, a score is not finite, or a truth is neither 0 nor 1.
    """
    if scores.shape != truth.shape or scores.ndim != 2:
        raise ValueError(f"Expected two (N, L) tensors, got {tuple(scores.shape)} and {tuple(truth.shape)}.")
    if not torch.isfinite(scores).all():
        raise ValueError("Expected finite scores, got nan or infinity.")
    if not ((truth == 0) | (truth == 1)).all():
        raise ValueError("Expected truths of 0 and 1, got others.")
    falling, order = scores.T.sort(dim=1, descending=True)
    positives = truth.T.gather(1, order).double()
    # All rows of a group of ties get the rank of its last row.
    rank = torch.searchsorted(-falling.contiguous(), -falling.contiguous(), right=True)
    hits = torch.cat([positives.new_zeros(len(positives), 1), positives.cumsum(1)], dim=1).gather(1, rank)
    precision = (positives * hits / rank).sum(1) / positives.sum(1)
    return precision.masked_fill(positives.all(1), torch.nan)


def mean_average_precision(average_precisions: Tensor) -> float:
    """Mean of average precisions, leaving out the undefined ones (nan); nan when all are."""
    return float(average_precisions.nanmean())
