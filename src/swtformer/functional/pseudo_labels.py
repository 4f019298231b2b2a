"""Pseudo-labels from maps: pixels with weak evidence get no label. No ground truth is used.

A pixel's *shares* are its maps divided by their sum. The *margin* of a label is its share minus the largest
other share: 1 where all other maps are 0, 0 for a tie, negative where another label is ahead. Only labels
that do not come from the shares (`support`) can have a negative margin.
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
    """Evidence for the label of each pixel.

    Attributes:
        labels: (H, W) uint8 candidate labels: the best ones, where background wins ties, or those given to
            `support`.
        margins: (H, W) float32 in [-1, 1], margins of these labels; 0 where all maps are 0.
        foreground: (H, W) uint8 best label other than background; 0 if the image has no class.
        foreground_share: (H, W) float32 in [0, 1], share of that label.
    """

    labels: Tensor
    margins: Tensor
    foreground: Tensor
    foreground_share: Tensor

    @property
    def is_missing(self) -> Tensor:
        """(H, W) bool: all maps are 0. (Where only background is positive, the margin is 1.)"""
        return (self.margins == 0) & (self.foreground_share == 0)


def evidence(maps: Tensor, values: Tensor, size: tuple[int, int]) -> Evidence:
    """Evidence for the best label of each pixel.

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
    """Evidence of maps for given labels; equal to `evidence` where these are the best ones.

    Args:
        labels: (H, W) uint8, each 0 or one of the values.
        maps: (K+1, h, w) in [0, 1], background first; K may be 0.
        values: (K,) labels of the others, class index + 1.
        size: (H, W) of the image.
    """
    shares = _shares(maps, size)
    channels = torch.zeros(256, dtype=torch.int64)
    channels[values.long()] = torch.arange(1, len(maps))
    own = channels[labels.long()][None]
    margins = shares.gather(0, own) - shares.scatter(0, own, 0).amax(0)
    return replace(_evidence(shares, values, size), labels=labels, margins=margins[0])


def labels_by_margin(pixels: Evidence, smallest: Tensor) -> Tensor:
    """The candidate label where its margin is large enough, else 255.

    Args:
        pixels: evidence of one image.
        smallest: (256,) float32, smallest sufficient margin of each label.

    Returns:
        (H, W) uint8.
    """
    wanted = smallest.index_select(0, pixels.labels.flatten().int()).view(pixels.labels.shape)
    return pixels.labels.masked_fill(pixels.margins < wanted, IGNORED)


def labels_by_thresholds(pixels: Evidence, *, low: float, high: float) -> Tensor:
    """The best class where its share is at least `high`, background where it is at most `low`, else 255.

    Also 255 where all maps are 0, or where another label is ahead of the candidate.

    Returns:
        (H, W) uint8.
    """
    labels = torch.full_like(pixels.labels, IGNORED)
    labels[(pixels.foreground_share <= low) & ~pixels.is_missing] = 0
    sure = (pixels.foreground_share >= high) & (pixels.foreground > 0) & ~pixels.is_missing
    return torch.where(sure, pixels.foreground, labels).masked_fill(pixels.margins < 0, IGNORED)


def margin_histogram(pixels: Evidence) -> Tensor:
    """Number of pixels of each label in each bin of the margin; a bin is a thousandth.

    Returns:
        (256, 2000) int64.
    """
    bins = (pixels.margins * STEPS).floor().long().clamp_(-STEPS, STEPS - 1) + STEPS
    flat = (pixels.labels.long() * 2 * STEPS + bins).flatten()
    return torch.bincount(flat, minlength=256 * 2 * STEPS).view(256, 2 * STEPS)


def margins_to_keep(histogram: Tensor, keep: float) -> Tensor:
    """For each label, the margin that the part `keep` of its pixels reaches.

    As in class-balanced self-training (Zou et al., ECCV 2018), the same part of each label is kept, so the
    background, the surest label in most maps, cannot crowd out the others.

    Args:
        histogram: (256, 2000) sum of `margin_histogram` over the images.
        keep: in (0, 1].

    Returns:
        (256,) float32 multiples of 1/1000, rounded down, so that at least the part `keep` remains. Undefined
        for labels without pixels.
    """
    above = histogram.flip(1).cumsum(1).flip(1)
    is_enough = above >= keep * histogram.sum(1, keepdim=True)
    return (is_enough.sum(1) - 1 - STEPS).float() / STEPS


def certainty(pixels: Evidence, values: Tensor) -> float:
    """Mean margin of each label's pixels, averaged over the background and the image's classes.

    Negative margins count as 0. So does a class without pixels, since the image is labelled with it.

    Args:
        pixels: evidence of one image.
        values: (K,) labels of the image's classes.

    Returns:
        In [0, 1].
    """
    flat = pixels.labels.flatten().long()
    sums = torch.bincount(flat, weights=pixels.margins.clamp(min=0).flatten().double(), minlength=256)
    means = sums / torch.bincount(flat, minlength=256).clamp(min=1)
    expected = [0, *values.tolist()]
    if not flat.eq(0).any():
        expected = expected[1:]  # an object may fill the image
    return float(means[expected].mean())


def agreement(before: Tensor, after: Tensor, values: Tensor) -> float:
    """Mean IoU between two label images of one image, over the background and the image's classes.

    Args:
        before, after: (H, W) uint8 labels; labels in neither are left out.
        values: (K,) labels of the image's classes, K may be 0.

    Returns:
        In [0, 1]; 1 if they are equal.
    """
    labels = [0, *values.tolist()]
    return float(mean_iou(confusion_matrix(before, after, labels=max(labels) + 1), over=labels))
