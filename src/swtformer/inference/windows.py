"""Class probabilities of an image: averaged over scales and mirror images, in windows of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.views import views
from swtformer.segmentation.network import SegmentationNetwork
from swtformer.settings import PredictSettings

GRID = 4
"""Seams between windows lie at multiples of this: a window has whole cells at a quarter of the size."""


class Span(NamedTuple):
    """A window along one side of an image.

    Attributes:
        start, stop: pixels that the network sees.
        first, last: pixels of these whose prediction is kept; those of all spans cover the side once.
    """

    start: int
    stop: int
    first: int
    last: int


class Patch(NamedTuple):
    """The kept part of one window.

    Attributes:
        top, left: where it lies in the image.
        probabilities: (C+1, h, w) float32.
    """

    top: int
    left: int
    probabilities: Tensor


@torch.inference_mode()
def class_probabilities(
    network: SegmentationNetwork,
    images: Tensor,
    *,
    scales: tuple[float, ...],
    flip: bool,
    presence: float = 1.0,
) -> Tensor:
    """Mean class probabilities over scales and mirror images.

    Args:
        network: in eval mode.
        images: (B, 3, H, W) uint8 RGB of one size.
        scales: of the views.
        flip: add each scale's mirror image.
        presence: how strongly the image-level head holds classes back.

    Returns:
        (B, C+1, H, W) float32, each pixel summing to 1.
    """
    size = (images.shape[-2], images.shape[-1])
    total = torch.zeros(len(images), len(network.classes) + 1, *size, device=images.device)
    made = views(images, scales=scales, flip=flip)
    for mirrored, view in made:
        logits = network(view, presence).float()
        if mirrored:
            logits = logits.flip(-1)
        if tuple(logits.shape[-2:]) != size:
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        total += logits.softmax(1)
    return total / len(made)


def patches(network: SegmentationNetwork, image: Tensor, *, settings: PredictSettings) -> Iterator[Patch]:
    """Probabilities of an image, window by window; memory is bounded by the window, whatever the image.

    Neighbouring windows share `overlap_px` at least. Of what they share each keeps the nearer half, so that
    every kept pixel has been seen with its surroundings.

    Args:
        network: in eval mode.
        image: (3, H, W) uint8 RGB.
        settings: scales, flip, presence, window and overlap.
    """
    height, width = image.shape[-2:]
    for rows in spans(height, window=settings.window_px, overlap=settings.overlap_px):
        for columns in spans(width, window=settings.window_px, overlap=settings.overlap_px):
            seen = image[None, :, rows.start : rows.stop, columns.start : columns.stop]
            probabilities = class_probabilities(
                network,
                seen,
                scales=settings.scales,
                flip=settings.flip,
                presence=settings.presence,
            )
            kept = probabilities[
                0,
                :,
                rows.first - rows.start : rows.last - rows.start,
                columns.first - columns.start : columns.last - columns.start,
            ]
            yield Patch(rows.first, columns.first, kept)


def spans(length: int, *, window: int, overlap: int) -> list[Span]:
    """Windows of equal length, evenly placed along a side; a side that fits in one window has one.

    Args:
        length: of the side.
        window: length of a window.
        overlap: what neighbours share at least; from 8 px to less than half a window.
    """
    if length <= window:
        return [Span(0, length, 0, length)]
    count = -(-(length - overlap) // (window - overlap))
    starts = [round(index * (length - window) / (count - 1)) for index in range(count)]
    seams = [(left + window + right) // 2 // GRID * GRID for left, right in pairwise(starts)]
    return [
        Span(start, start + window, first, last)
        for start, first, last in zip(starts, [0, *seams], [*seams, length], strict=True)
    ]
