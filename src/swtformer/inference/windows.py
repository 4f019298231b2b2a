"""Class probabilities of an image: averaged over scales and mirror images, in windows of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.views import views
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.segmentation.network import SegmentationNetwork
from swtformer.settings import PredictSettings

GRID = 4
"""Seams between windows lie at multiples of this: a window has whole cells at a quarter of the size."""


@torch.inference_mode()
def class_probabilities(
    network: SegmentationNetwork | OnnxNetwork,
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


def patches(
    network: SegmentationNetwork | OnnxNetwork, strip: Tensor, *, settings: PredictSettings
) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities of a row of windows, one after the other.

    Neighbouring windows share `overlap_px` at least. Of what they share each keeps the nearer half, so that
    every kept pixel has been seen with its surroundings.

    Args:
        network: in eval mode.
        strip: (D, H, W) uint8, as high as a window.
        settings: scales, flip, presence, window and overlap.

    Yields:
        Columns of the strip, and their (C+1, H, w) float32 probabilities.
    """
    for seen, columns in spans(strip.shape[-1], window=settings.window_px, overlap=settings.overlap_px):
        (made,) = class_probabilities(
            network,
            strip[None, :, :, seen],
            scales=settings.scales,
            flip=settings.flip,
            presence=settings.presence,
        )
        yield columns, made[:, :, columns.start - seen.start : columns.stop - seen.start]


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
