"""All background thresholds in one pass, and a threshold that is chosen without ground truth.

A threshold t is the score of the background: the best foreground class wins a pixel where its score is above
t, the background wins where it is t or less (`labels.labels_at`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from swtformer.functional.labels import Foreground
from swtformer.label_values import IGNORED

STEPS = 100
"""Thresholds of a sweep: 0, 1/100, …, 1."""

_CELLS = 1024


def threshold_grid(extra: Iterable[float] = ()) -> Tensor:
    """The thresholds of a sweep in rising order: 0, 0.01, …, 1 and the `extra` ones.

    Returns:
        (M,) float32 without duplicates.
    """
    steps = [step / STEPS for step in range(STEPS + 1)]
    rounded = torch.tensor([*steps, *extra], dtype=torch.float32).tolist()
    return torch.tensor(sorted(set(rounded)), dtype=torch.float32)


def count_below(scores: Tensor, thresholds: Tensor) -> Tensor:
    """Number of thresholds that each score is above: torch.bucketize for [0, 1], several times faster.

    Exact for every float32 score: a table over 1,024 cells gives the thresholds below the cell (1,024 being a
    power of two, the cell is exact), and those within the cell are compared one by one; there is rarely more
    than one.

    Args:
        scores: float32 of any shape; values outside [0, 1] are counted correctly, too.
        thresholds: (M,) float32 in [0, 1], rising.

    Returns:
        int32, same shape as the scores, 0 to M.
    """
    owner = (thresholds * _CELLS).long()
    members = torch.bincount(owner, minlength=_CELLS + 1)
    first = members.cumsum(0) - members
    padded = torch.cat([thresholds, thresholds.new_full((1,), torch.inf)])
    cells = (scores.reshape(-1) * _CELLS).clamp_(0, _CELLS).int()
    below = first.int().index_select(0, cells)
    for rank in range(int(members.max())):
        at = torch.where(rank < members, first + rank, len(thresholds))
        below += scores.reshape(-1) > padded[at].index_select(0, cells)
    return below.view(scores.shape)


@dataclass(frozen=True)
class LocalConfusion:
    """Confusion matrices of one image at all thresholds, over the labels that occur in it.

    Attributes:
        labels: (U,) int64 labels in rising order; 0 (background) is always the first.
        counts: (M, U, U) int64, rows truths.
    """

    labels: Tensor
    counts: Tensor


def confusion_at_thresholds(foreground: Foreground, truth: Tensor, thresholds: Tensor) -> LocalConfusion:
    """Confusion matrices of one image at all thresholds, from one histogram.

    Each pixel falls once into a bin (truth, best class, number of thresholds that its score is above);
    cumulative sums over the last axis equal `confusion_matrix(labels_at(foreground, t), truth)` for every t.

    Args:
        foreground: the best foreground class of each pixel.
        truth: (H, W) uint8 label image; 255 is ignored.
        thresholds: (M,) float32 in [0, 1], rising.

    Raises:
        ValueError: the sizes differ.
    """
    if foreground.values.shape != truth.shape:
        raise ValueError(
            f"Expected equal sizes, got {tuple(foreground.values.shape)} and {tuple(truth.shape)}."
        )
    flat_truth, flat_values = truth.reshape(-1).int(), foreground.values.reshape(-1).int()
    seen = torch.bincount(flat_truth, minlength=256) + torch.bincount(flat_values, minlength=256)
    seen[0] += 1
    seen[IGNORED] = 0
    labels = seen.nonzero()[:, 0]
    count, bins = len(labels), len(thresholds) + 1
    compact = torch.full((256,), count, dtype=torch.int32)
    compact[labels] = torch.arange(count, dtype=torch.int32)
    index = compact.index_select(0, flat_truth).mul_(count).add_(compact.index_select(0, flat_values))
    index.mul_(bins).add_(count_below(foreground.scores, thresholds).view(-1))
    # Row `count` takes the ignored pixels.
    histogram = torch.bincount(index, minlength=(count + 1) * count * bins).view(count + 1, count, bins)[:-1]
    background = histogram.cumsum(-1)[..., :-1]
    counts = (histogram.sum(-1, keepdim=True) - background).permute(2, 0, 1).contiguous()
    counts[:, :, 0] += background.sum(1).T
    return LocalConfusion(labels, counts)


class ThresholdSweep:
    """Confusion matrices of a data set at all thresholds, added up image by image.

    Attributes:
        thresholds: (M,) float32, rising.
        counts: (M, N, N) int64, rows truths.
    """

    def __init__(self, labels: int, thresholds: Tensor) -> None:
        self.thresholds = thresholds
        self.counts = torch.zeros(len(thresholds), labels, labels, dtype=torch.int64)

    def add(self, local: LocalConfusion) -> None:
        """Add one image.

        Raises:
            ValueError: it holds a label beyond those of the sweep.
        """
        highest = int(local.labels[-1])
        if highest >= self.counts.shape[1]:
            raise ValueError(f"Expected labels 0 to {self.counts.shape[1] - 1} or 255, got {highest}.")
        self.counts[:, local.labels[:, None], local.labels] += local.counts

    def index(self, threshold: float) -> int:
        """Position of a threshold of the sweep.

        Raises:
            ValueError: the sweep has no such threshold.
        """
        found = (self.thresholds == torch.tensor(threshold, dtype=torch.float32)).nonzero()
        if not len(found):
            raise ValueError(f"The sweep has no threshold {threshold}.")
        return int(found[0, 0])


def score_histogram(maps: Tensor) -> Tensor:
    """How many cells of one image's maps lie between each two thresholds of `threshold_grid()`.

    Args:
        maps: (K, h, w) maps of the present classes, at the resolution at which they are stored.

    Returns:
        (102,) int64 over each cell's best class. Bin 0 holds scores of 0, bin b those in ((b−1)/100, b/100].
        All zero for an image without a class: it has no scores, so it does not influence thresholds.
    """
    bins = STEPS + 2
    if not len(maps):
        return torch.zeros(bins, dtype=torch.int64)
    below = count_below(maps.float().amax(0), threshold_grid())
    return torch.bincount(below.view(-1), minlength=bins)


def label_free_threshold(histogram: Tensor) -> float:
    """Background threshold that is chosen without any ground truth: it maximises the *expected* IoU.

    Eq. 3 reads a foreground score s as the probability of foreground, and 1 − s as that of background. By
    this reading, a threshold t gives the foreground an expected intersection of S⁺, the sum of the scores
    above t, and an expected union of N⁺ + S⁻, the number of scores above t plus the sum of the others. The
    threshold returned is the one of largest J(t) = S⁺ / (N⁺ + S⁻). A pixel of score s raises J only where
    s / (1 − s) > J, so the best threshold is J / (1 + J), never above one half: the less sure the maps, the
    lower the threshold.

    The histogram is pooled over the data set and one threshold serves all its images. Maps are scaled to a
    maximum of 1 in each image, so an image alone says little about how far its own object reaches.

    Args:
        histogram: (102,) sum of `score_histogram` over the images, or that of a single one.

    Returns:
        One of 0, 0.01, …, 1 (the lowest of equals); 0 where no score is above 0.
    """
    counts = histogram.double()
    centres = (torch.arange(len(counts), dtype=torch.float64) - 0.5).clamp(0, STEPS) / STEPS
    number_above = counts.sum() - counts.cumsum(0)[:-1]
    sum_below = (counts * centres).cumsum(0)
    expected_union = number_above + sum_below[:-1]
    expected_iou = (sum_below[-1] - sum_below[:-1]) / expected_union.clamp(min=1e-12)
    return int(expected_iou.argmax()) / STEPS
