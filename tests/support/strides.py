"""A backbone that anybody can compute by hand."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from swtformer.backbones.base import Backbone, Pyramid


@final
class Strides(Backbone):
    """Images, taken apart into pixels at four strides."""

    mean = (0.5, 0.25, 0.0)
    std = (0.5, 0.25, 2.0)
    channels = (3, 3, 3, 3)

    def __init__(self) -> None:
        super().__init__()
        self.name = "strides"
        self.keeps_batch_statistics = False
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Pyramid:
        assert images.is_contiguous(memory_format=torch.channels_last)
        return images[..., ::4, ::4], images[..., ::8, ::8], images[..., ::16, ::16], images[..., ::32, ::32]

    def stage_modules(self) -> tuple[list[nn.Module], ...]:
        return [self.norm], [], [], []
