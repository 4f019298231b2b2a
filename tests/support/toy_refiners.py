"""Refiners as another package could bring them: one without training, and one that learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.labels import upsample
from swtformer.refiners import REFINERS, Example, FitSettings, LearnedRefiner, Refiner, padded, unpadded
from swtformer.settings import Section
from swtformer.settings.numbers import Count

TOYS = ("toy_smoothing", "toy_texture")


class SmoothingSettings(Section):
    """Options of the toy without training."""

    side: Count = 9


@final
class Smoothing(Refiner):
    """A mean over a square of pixels at half of the image's size."""

    settings_type = SmoothingSettings
    options: SmoothingSettings

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        height, width = (-(-side // 2) for side in images.shape[2:])
        full = padded([upsample(own, (height, width)) for own in maps])
        return unpadded(smoothed(full, self.options.side), maps)


class TextureSettings(FitSettings):
    """Options of the toy that learns."""

    fit_side_px: Count = 64


class TextureNetwork(nn.Module):
    """Brightness and roughness of each place of the backbone's first stage."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer = nn.Conv2d(backbone.channels[0], 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2, h, w) in [0, 1]."""
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))[0]
        return torch.sigmoid(self.layer(features).float())


@final
class Texture(LearnedRefiner):
    """Smooths maps where the image is rough; unlike PSA and IRN it learns from whole images."""

    settings_type = TextureSettings
    options: TextureSettings
    loss_names = ("brightness", "roughness")
    network: TextureNetwork

    def build(self, backbone: Backbone) -> None:
        self.network = TextureNetwork(backbone).to(self.device).eval()

    def sample(self, example: Example, generator: np.random.Generator) -> dict[str, Tensor]:
        side = self.options.fit_side_px
        image = F.interpolate(example.image[None], (side, side), mode="bilinear")[0]
        return {"image": image.flip(-1) if generator.random() < 0.5 else image}

    def losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        made = self.network(batch["image"])
        gray = F.adaptive_avg_pool2d(batch["image"].mean(1, keepdim=True), made.shape[-2:])
        rough = (gray - smoothed(gray, 3)).abs()
        return {"brightness": F.mse_loss(made[:, :1], gray), "roughness": F.mse_loss(made[:, 1:], rough)}

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        size = max(images.shape[2], 32), max(images.shape[3], 32)
        rough = self.network(F.interpolate(images, size, mode="bilinear"))[:, 1:]
        start = padded([upsample(own, (rough.shape[2], rough.shape[3])) for own in maps])
        return unpadded(start.lerp(smoothed(start, 3), rough), maps)


def smoothed(maps: Tensor, side: int) -> Tensor:
    """(B, L, h, w) maps; each pixel becomes the mean of a square around it, of an odd side."""
    return F.avg_pool2d(maps, side, stride=1, padding=side // 2, count_include_pad=False)


@contextmanager
def registered_toys() -> Iterator[None]:
    """Register the toys for a while."""
    for name, toy in zip(TOYS, (Smoothing, Texture), strict=True):
        REFINERS.register(name)(toy)
    try:
        yield
    finally:
        for name in TOYS:
            REFINERS.unregister(name)
