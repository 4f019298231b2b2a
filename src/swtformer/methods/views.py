"""Maps of an image summed over scales and mirror images (METHOD 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import normalised
from swtformer.functional.seeds import scaled_to_maximum
from swtformer.functional.views import views
from swtformer.methods.base import Method
from swtformer.settings import LocalizeSettings


@dataclass(frozen=True)
class SummedMaps:
    """Maps of a batch of equal-sized images.

    Attributes:
        present: (B, C) 0/1 labels that the maps were made for, given or predicted.
        cam: (B, C, h, w) in [0, 1), absent classes 0.
        refined: (B, C+1, h, w) in [0, 1), index 0 is background; None where the method makes none.
        probabilities: (B, C) class probabilities, mean over the views.
    """

    present: Tensor
    cam: Tensor
    refined: Tensor | None
    probabilities: Tensor


@torch.no_grad()
def summed_maps(
    model: Method, images: Tensor, present: Tensor | None, *, settings: LocalizeSettings
) -> SummedMaps:
    """Make CAMs and R-CAMs over all scales and mirror images.

    Every view's positive activations are summed on the output grid and divided by their maximum once. For
    R-CAMs the seeds of a view come from its own CAM (`seeds: view`) or from the CAM summed over all views
    (`seeds: pooled`); the prototype similarities are summed and scaled once.

    Args:
        model: in eval mode.
        images: (B, 3, H, W) uint8 RGB of one size.
        present: (B, C) 0/1 labels, or None to let the classifier choose: every class with a mean probability
            of at least `settings.class_threshold`, and the most probable one in any case.
        settings: scales, mirror, output stride, seeds.

    Returns:
        Maps on a grid of ceil(H / stride) × ceil(W / stride).
    """
    height, width = images.shape[-2:]
    grid = (-(-height // settings.stride), -(-width // settings.stride))
    encodings = [
        (mirrored, model.encode(view))
        for mirrored, view in views(images, scales=settings.scales, flip=settings.flip)
    ]
    probabilities = torch.stack([encoding.logits.float().sigmoid() for _, encoding in encodings]).mean(0)
    if present is None:
        likely = probabilities >= settings.class_threshold
        best = F.one_hot(probabilities.argmax(1), probabilities.shape[1]).bool()
        present = (likely | best).to(probabilities.dtype)
    wanted = torch.arange(present.shape[1], device=present.device)
    if model.settings.background_over == "present":
        wanted = present.any(0).nonzero()[:, 0]
    cam = images.new_zeros((*present.shape, *grid), dtype=torch.float32)
    if len(wanted) == 0:
        background = torch.ones_like(cam[:, :1])
        refined = torch.cat([background, cam], dim=1) if "fusion" in model.new_modules() else None
        return SummedMaps(present, cam, refined, probabilities)

    chosen = present[:, wanted]
    activations = [encoding.activations[:, wanted].float() for _, encoding in encodings]
    positive = [
        _on_grid(item.relu(), mirrored, grid)
        for item, (mirrored, _) in zip(activations, encodings, strict=True)
    ]
    pooled = normalised(torch.stack(positive).sum(0), norm=model.settings.norm)
    cam[:, wanted] = pooled * chosen[:, :, None, None]

    similarities = torch.zeros_like(cam[:, :1])
    for item, (mirrored, encoding) in zip(activations, encodings, strict=True):
        maps = (pooled.flip(-1) if mirrored else pooled) if settings.seeds == "pooled" else None
        made = model.localize(replace(encoding, activations=item), chosen, maps=maps)
        if made.similarities is None:
            return SummedMaps(present, cam, None, probabilities)
        similarities = similarities + _on_grid(made.similarities, mirrored, grid)
    refined = torch.zeros((len(cam), cam.shape[1] + 1, *grid), device=cam.device)
    scaled = scaled_to_maximum(similarities)
    is_background = ~present.any(1)
    refined[:, 0] = torch.where(is_background[:, None, None], 1.0, scaled[:, 0])
    refined[:, wanted + 1] = scaled[:, 1:]
    return SummedMaps(present, cam, refined, probabilities)


def _on_grid(maps: Tensor, mirrored: bool, grid: tuple[int, int]) -> Tensor:
    """A view's maps as they lie in the image, on the output grid."""
    if mirrored:
        maps = maps.flip(-1)
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)
