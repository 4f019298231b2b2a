"""From maps to labels that are worth learning from: where the evidence is weak, no label is given.

Nothing here looks at ground truth. A pixel's *shares* are its maps divided by their sum, and the *margin* of
a label is its share less the best other share: 1 where its map stands alone, 0 where two are equal, negative
where another label is ahead, which happens only to labels from elsewhere than the shares (`support`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from swtformer.functional.labels import best_foreground, upsample
from swtformer.functional.scores import confusion_matrix, mean_iou
from swtformer.label_values import IGNORED

STEPS = 1000
"""Bins of a margin histogram on each side of 0."""


@dataclass(frozen=True)
class Evidence:
    """What the maps say about each pixel.

    Attributes:
        labels: (H, W) uint8 label that is in question: the best one, where a tie goes to the background, or
            the one that was given to `support`.
        margins: (H, W) float32 in [-1, 1], of these labels; 0 where all maps are 0. Of the best label it is
            never negative.
        foreground: (H, W) uint8 best label other than background; 0 where the image has no class.
        foreground_share: (H, W) float32 in [0, 1], the share of that label.
    """

    labels: Tensor
    margins: Tensor
    foreground: Tensor
    foreground_share: Tensor

    @property
    def is_lacking(self) -> Tensor:
        """(H, W) bool: all maps are 0. (Of background alone the margin is 1.)"""
        return (self.margins == 0) & (self.foreground_share == 0)


def evidence(maps: Tensor, values: Tensor, size: tuple[int, int]) -> Evidence:
    """Up-sample maps and weigh them against each other.

    Args:
        maps: (K+1, h, w) in [0, 1], background first; K may be 0.
        values: (K,) labels of the others, class index + 1.
        size: (H, W) of the image.
    """
    return _evidence(_shares(maps, size), values, size)


def _shares(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(K+1, H, W) maps at full size, divided by their sum."""
    full = upsample(maps, size)
    return full / full.sum(0).clamp(min=1e-12)


def _evidence(shares: Tensor, values: Tensor, size: tuple[int, int]) -> Evidence:
    best = best_foreground(shares[1:], values, size)
    first_two = shares.topk(min(2, len(shares)), dim=0).values
    margins = first_two[0] - (first_two[1] if len(first_two) > 1 else 0)
    return Evidence(best.values * (best.scores > shares[0]), margins, best.values, best.scores)


def support(labels: Tensor, maps: Tensor, values: Tensor, size: tuple[int, int]) -> Evidence:
    """Weigh labels that come from elsewhere by what maps say of them.

    Args:
        labels: (H, W) uint8, each 0 or among the values.
        maps: (K+1, h, w) in [0, 1], background first; K may be 0.
        values: (K,) labels of the others, class index + 1.
        size: (H, W) of the image.

    Returns:
        The maps' evidence about these labels; that of `evidence` where they are the maps' best.
    """
    shares = _shares(maps, size)
    channels = torch.zeros(256, dtype=torch.int64)
    channels[values.long()] = torch.arange(1, len(maps))
    own = channels[labels.long()][None]
    margins = shares.gather(0, own) - shares.scatter(0, own, 0).amax(0)
    return replace(_evidence(shares, values, size), labels=labels, margins=margins[0])


def labels_by_margin(pixels: Evidence, smallest: Tensor) -> Tensor:
    """The label in question where its margin is large enough, else 255.

    Args:
        pixels: the evidence of one image.
        smallest: (256,) float32, the smallest margin that is enough, for each label.

    Returns:
        (H, W) uint8.
    """
    wanted = smallest.index_select(0, pixels.labels.flatten().int()).view(pixels.labels.shape)
    return pixels.labels.masked_fill(pixels.margins < wanted, IGNORED)


def labels_by_thresholds(pixels: Evidence, *, low: float, high: float) -> Tensor:
    """The best class where its share is `high` or more, background where it is `low` or less, else 255.

    Pixels where all maps are 0 become 255: no class is seen there, and no background either. So do those
    where another label than the one in question is ahead.

    Returns:
        (H, W) uint8.
    """
    labels = torch.full_like(pixels.labels, IGNORED)
    labels[(pixels.foreground_share <= low) & ~pixels.is_lacking] = 0
    sure = (pixels.foreground_share >= high) & (pixels.foreground > 0) & ~pixels.is_lacking
    return torch.where(sure, pixels.foreground, labels).masked_fill(pixels.margins < 0, IGNORED)


def margin_histogram(pixels: Evidence) -> Tensor:
    """How many pixels of each label have a margin in each thousandth of [-1, 1].

    Returns:
        (256, 2000) int64.
    """
    bins = (pixels.margins * STEPS).floor().long().clamp_(-STEPS, STEPS - 1) + STEPS
    flat = (pixels.labels.long() * 2 * STEPS + bins).flatten()
    return torch.bincount(flat, minlength=256 * 2 * STEPS).view(256, 2 * STEPS)


def margins_to_keep(histogram: Tensor, keep: float) -> Tensor:
    """For each label the margin that the part `keep` of its pixels has, those of largest margin.

    Labels are treated alike, as in class-balanced self-training (Zou et al., ECCV 2018): the background, the
    surest label in most maps, cannot crowd out the others.

    Args:
        histogram: (256, 2000) sum of `margin_histogram` over the images.
        keep: in (0, 1].

    Returns:
        (256,) float32 multiples of 1/1000, rounded down so that at least the part `keep` remains. It means
        nothing for labels without pixels.
    """
    above = histogram.flip(1).cumsum(1).flip(1)
    is_enough = above >= keep * histogram.sum(1, keepdim=True)
    return (is_enough.sum(1) - 1 - STEPS).float() / STEPS


def certainty(pixels: Evidence, values: Tensor) -> float:
    """Mean margin of each label's pixels, averaged over the background and the image's classes.

    A negative margin counts as 0. A class that wins no pixel counts with 0: the image is said to show it, and
    the mask does not.

    Args:
        pixels: the evidence of one image.
        values: (K,) labels of the image's classes.

    Returns:
        In [0, 1].
    """
    flat = pixels.labels.flatten().long()
    sums = torch.bincount(flat, weights=pixels.margins.clamp(min=0).flatten().double(), minlength=256)
    means = sums / torch.bincount(flat, minlength=256).clamp(min=1)
    expected = [0, *values.tolist()]
    if not flat.eq(0).any():
        expected = expected[1:]  # an object may fill the picture
    return float(means[expected].mean())


def agreement(before: Tensor, after: Tensor, values: Tensor) -> float:
    """Mean IoU between two label images of one picture, over the background and the picture's classes.

    Args:
        before, after: (H, W) uint8 labels; a label that is in neither is left out.
        values: (K,) labels of the picture's classes, K may be 0.

    Returns:
        In [0, 1]; 1 where they are equal.
    """
    labels = [0, *values.tolist()]
    return float(mean_iou(confusion_matrix(before, after, labels=max(labels) + 1), over=labels))
