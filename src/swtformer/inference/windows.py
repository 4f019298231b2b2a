"""Class probabilities of an image: averaged over scales and mirror images, in windows of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.views import Flip, resized, views
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.segmentation.network import SegmentationNetwork

GRID = 4
"""Seams between windows lie at multiples of this: a window has whole cells at a quarter of the size."""


def seen_size(network: SegmentationNetwork | OnnxNetwork, size: Sequence[int]) -> tuple[int, int]:
    """Height and width at which a network sees an image of a height and width.

    The size itself where the network has no size of its own; else whole cells of `GRID`.
    """
    factor = network.settings.scale_of(max(size))
    if factor == 1:
        return size[0], size[1]
    height, width = (max(1, round(side * factor / GRID)) * GRID for side in size)
    return height, width


@torch.inference_mode()
def class_probabilities(
    network: SegmentationNetwork | OnnxNetwork,
    images: Tensor,
    *,
    scales: tuple[float, ...],
    flip: Flip,
    presence: float = 1.0,
) -> Tensor:
    """Mean class probabilities over scales and mirror images.

    Args:
        network: in eval mode.
        images: (B, 3, H, W) RGB of one size with values from 0 to 255.
        scales: of the views.
        flip: see `views`.
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


def decided(
    probabilities: Tensor, size: tuple[int, int], kept: tuple[slice, slice], *, cells: bool
) -> tuple[Tensor, Tensor | None]:
    """Labels of a part of a window, from probabilities that may be coarser or finer than its pixels.

    One class is enlarged after the other, so that the memory does not grow with their number.

    Args:
        probabilities: (C+1, h, w) of a window.
        size: height and width of the window in pixels.
        kept: rows and columns of the part, in pixels.
        cells: whether to return probabilities as well.

    Returns:
        (rows, columns) uint8 labels, and the part's (C+1, ceil(rows/4), ceil(columns/4)) probabilities.
    """
    best, labels, averages = None, None, []
    for label, one in enumerate(probabilities):
        plane = resized(one[None, None], size, antialias=True)[0, 0, kept[0], kept[1]]
        if cells:
            averages.append(F.avg_pool2d(plane[None, None], GRID, ceil_mode=True, count_include_pad=False))
        if best is None or labels is None:
            best, labels = plane.clone(), torch.zeros(plane.shape, dtype=torch.uint8, device=plane.device)
            continue
        labels.masked_fill_(plane > best, label)
        torch.maximum(best, plane, out=best)
    assert labels is not None
    return labels, torch.cat(averages, dim=1)[0] if cells else None


def spans(length: int, *, window: int, overlap: int) -> list[tuple[slice, slice]]:
    """Windows of equal length, evenly placed along a side; a side that fits in one window has one.

    Args:
        length: of the side.
        window: length of a window.
        overlap: what neighbours share at least; from 8 px to less than half a window.

    Returns:
        Pixels that the network sees, and those of them whose prediction is kept, which cover the side once.
    """
    if length <= window:
        return [(slice(0, length), slice(0, length))]
    count = -(-(length - overlap) // (window - overlap))
    starts = [round(index * (length - window) / (count - 1)) for index in range(count)]
    seams = [(left + window + right) // 2 // GRID * GRID for left, right in pairwise(starts)]
    kept = map(slice, [0, *seams], [*seams, length])
    return [(slice(start, start + window), part) for start, part in zip(starts, kept, strict=True)]
