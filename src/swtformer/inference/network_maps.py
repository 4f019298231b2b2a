"""Maps that a segmentation network makes of images whose labels are known: its class probabilities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import likely_classes
from swtformer.functional.views import resized
from swtformer.inference.windows import GRID, class_probabilities, seen_size, spans
from swtformer.methods import Maps
from swtformer.segmentation import SegmentationNetwork
from swtformer.settings import LocalizeSettings

WINDOW_PX = 1024
"""Side of the windows that larger images are seen in, as `predict` does by default."""
OVERLAP_PX = 128
"""What neighbouring windows share."""


@torch.inference_mode()
def network_maps(
    network: SegmentationNetwork, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings
) -> Maps:
    """Probabilities of the background and the present classes, which sum to 1 in each place.

    The image-level labels take the place of the network's image-level head: the probabilities of absent
    classes are left out, and the others are divided by their sum.

    Args:
        network: in eval mode.
        images: (B, 3, H, W) uint8, enlarged or shrunk to what the network sees.
        present: (B, C) 0/1 labels; None for the classes that the network finds: those whose probability
            reaches `settings.class_threshold` in some place, and the most probable one.
        settings: scales, flip, views, stride, class_threshold; scales are relative to the size that
            the network sees.

    Returns:
        Maps whose `rcam` are these probabilities and whose `cam` are those of the classes.
    """
    grid = tuple(-(-side // settings.stride) for side in images.shape[-2:])
    height, width = size = seen_size(network, images.shape[-2:])
    if size != tuple(images.shape[-2:]):
        images = resized(images.float(), size, antialias=True)
    shape = (len(images), len(network.classes) + 1, -(-height // GRID), -(-width // GRID))
    shares = torch.empty(shape, device=images.device)
    presence = 1.0 if present is None else 0.0
    for seen, rows in spans(height, window=WINDOW_PX, overlap=OVERLAP_PX):
        for across, columns in spans(width, window=WINDOW_PX, overlap=OVERLAP_PX):
            window = images[:, :, seen, across]
            made = class_probabilities(
                network, window, scales=settings.scales, flip=settings.mirrored, presence=presence
            )
            top, left = rows.start - seen.start, columns.start - across.start
            kept = made[:, :, top : rows.stop - seen.start, left : columns.stop - across.start]
            cells = F.avg_pool2d(kept, GRID, ceil_mode=True, count_include_pad=False)
            first, start = rows.start // GRID, columns.start // GRID
            shares[:, :, first : first + cells.shape[2], start : start + cells.shape[3]] = cells
    shares = resized(shares, grid, antialias=True)
    probabilities = shares[:, 1:].amax((2, 3))
    if present is None:
        present = likely_classes(probabilities, threshold=settings.class_threshold)
    allowed = F.pad(present.to(shares.dtype), (1, 0), value=1.0)
    shares = shares * allowed[:, :, None, None]
    shares = shares / shares.sum(1, keepdim=True).clamp_min(torch.finfo(shares.dtype).tiny)
    return Maps(present, shares[:, 1:], shares, probabilities)
