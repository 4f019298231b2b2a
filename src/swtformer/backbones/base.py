"""What every network that makes features is: images in, maps out; a backbone gives a pyramid of four."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four (B, C_i, h_i, w_i) maps at strides of about 4, 8, 16 and 32."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalisation(nn.Module):
    """Images to what trained weights expect: the mean taken away, divided by the standard deviation.

    Args:
        mean: per channel, of images in [0, 1].
        std: per channel.

    Attributes:
        mean: (1, 3, 1, 1); with `std` it moves along to a device, but is not saved with the weights.
        std: (1, 3, 1, 1).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) RGB images, uint8 or floats in [0, 1]."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return (images - self.mean) / self.std


class FeatureExtractor(nn.Module, ABC):
    """Normalised images to feature maps.

    Batch-norm layers of a network with trained weights always run on their stored statistics, in training
    too: the small batches of fine-tuning would only spoil them. Their scales and offsets are trained. A
    network without trained weights has no statistics worth keeping and normalises by batch.

    Attributes:
        mean: per-channel mean of images in [0, 1] that the weights expect to be taken away.
        std: per-channel standard deviation that they expect to be divided by.
        keeps_batch_statistics: True where batch norm uses the stored statistics in training.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    keeps_batch_statistics: bool = True

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; batch norm keeps its statistics where they are worth it."""
        super().train(mode)
        if self.keeps_batch_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


class Backbone(FeatureExtractor):
    """Images to a pyramid of four feature maps, at any height and width from 32 px.

    Map sizes differ by family (375×500 px gives 12×16 or 11×15 at stage 4): take them from the maps.

    Attributes:
        name: the name it was created by.
        channels: (C_1, C_2, C_3, C_4).
    """

    name: str
    channels: tuple[int, int, int, int]

    @abstractmethod
    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images.

        Args:
            images: (B, 3, H, W), normalised with `mean` and `std`, H and W at least 32.

        Returns:
            Four maps, contiguous or channels-last, the last one after the family's final norm.

        Raises:
            ValueError: the images are not (B, 3, H, W) or smaller than 32 px.
        """

    @abstractmethod
    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Four groups of modules that together own every trained parameter; the stem belongs to the first."""


def check_images(images: Tensor) -> None:
    """Raise ValueError unless `images` is a (B, 3, H, W) batch of at least 32×32 px."""
    if images.ndim != 4 or images.shape[1] != 3 or any(side < 32 for side in images.shape[2:]):
        raise ValueError(f"Expected images (B, 3, H, W) of at least 32×32 px, got {tuple(images.shape)}.")
