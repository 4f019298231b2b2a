"""CAMs over all views of an image, for methods that make no R-CAMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from swtformer.functional.activation import likely_classes, normalised
from swtformer.functional.views import on_grid, views
from swtformer.methods.base import Maps
from swtformer.settings import LocalizeSettings


@torch.no_grad()
def summed_cams(
    look: Callable[[Tensor], tuple[Tensor, Tensor]],
    images: Tensor,
    present: Tensor | None,
    *,
    settings: LocalizeSettings,
    summed: Literal["positive", "signed"] = "positive",
    norm: Literal["max", "minmax"] = "max",
) -> Maps:
    """Sum the activations of all scales and mirror images, and scale the sum once (METHOD 4).

    Args:
        look: a view, (B, 3, h, w) floats in [0, 1] of at least 32×32 px, to class logits (B, C) and class
            activations (B, C, h', w') on a grid of its own, any sign.
        images, present, settings: see `Method.maps`.
        summed: the positive part of each view, or activations as they are, whose sum's positive part counts.
        norm: how a sum is scaled, see `normalised`.

    Returns:
        Maps without R-CAMs.
    """
    height, width = images.shape[-2:]
    grid = (-(-height // settings.stride), -(-width // settings.stride))
    probabilities, activations = [], []
    for is_mirrored, view in views(images, scales=settings.scales, flip=settings.mirrored):
        logits, seen = look(view)
        probabilities.append(logits.float().sigmoid())
        seen = seen.float().relu() if summed == "positive" else seen.float()
        activations.append(on_grid(seen, is_mirrored, grid))
    mean = torch.stack(probabilities).mean(0)
    if present is None:
        present = likely_classes(mean, threshold=settings.class_threshold)
    cam = normalised(torch.stack(activations).sum(0), norm=norm) * present[:, :, None, None]
    return Maps(present, cam, None, mean)
