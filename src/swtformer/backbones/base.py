"""Contracts of networks that map images to features, and of backbones with a pyramid of four maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from swtformer.errors import SwtformerError

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four (B, C_i, h_i, w_i) maps, fine to coarse, at the strides of the backbone."""

STRIDES = (4, 8, 16, 32)
"""Strides of the four maps, unless the last ones are taken away (`with_last_stride`)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalisation(nn.Module):
    """Subtracts the mean and divides by the standard deviation that trained weights expect.

    Args:
        mean: per channel, of images in [0, 1].
        std: per channel.

    Attributes:
        mean: (1, D, 1, 1) buffer that is not saved with the weights.
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (B, D, H, W) images, uint8 or floats in [0, 1]."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return (images - self.mean) / self.std


class FeatureExtractor(nn.Module, ABC):
    """Normalised images to feature maps.

    Batch norm of pretrained networks uses its stored statistics in training too, as the small batches of
    fine-tuning would spoil them; its scales and offsets are trained. Without pretrained weights it normalises
    by batch.

    Attributes:
        mean: per-channel mean of images in [0, 1] that the weights expect to be subtracted.
        std: per-channel standard deviation that they expect to be divided by.
        keeps_batch_statistics: whether batch norm uses its stored statistics in training.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    keeps_batch_statistics: bool = True

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; see `keeps_batch_statistics`."""
        super().train(mode)
        if self.keeps_batch_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def keep_batch_statistics(network: nn.Module, keep: bool) -> None:
    """Say whether batch norm in the feature extractors of a network uses stored statistics in training."""
    for module in network.modules():
        if isinstance(module, FeatureExtractor):
            module.keeps_batch_statistics = keep


class Backbone(FeatureExtractor):
    """Images to a pyramid of four feature maps, at any height and width from 32 px.

    The sizes of the maps depend on the family (375×500 px gives 12×16 or 11×15 at stage 4).

    Attributes:
        name: the name it was created with.
        channels: (C_1, C_2, C_3, C_4).
        strides: sides of the image divided by those of each map, about. The last ones are smaller than 16 and
            32 where the network was built for a smaller output stride.
        dilated: whether it was then dilated, so that a saved network can be built again.
    """

    name: str
    channels: tuple[int, int, int, int]
    strides: tuple[int, int, int, int] = STRIDES
    dilated: bool = True

    @abstractmethod
    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images.

        Args:
            images: (B, D, H, W), normalised with `mean` and `std`, H and W at least 32. D is 3, red, green
                and blue, unless the network was built for other bands.

        Returns:
            Four maps, contiguous or channels-last, the last one after the family's final norm.

        Raises:
            ValueError: the images are not (B, D, H, W), or are smaller than 32 px.
        """

    @abstractmethod
    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Four groups of modules that together own every trained parameter; the stem belongs to the first."""


def with_last_stride(output_stride: int) -> tuple[int, int, int, int]:
    """Strides of four maps of which none exceeds an output stride of 32, 16 or 8."""
    first, second, third, fourth = (min(stride, output_stride) for stride in STRIDES)
    return first, second, third, fourth


def cannot_be_dilated(name: str, output_stride: int) -> SwtformerError:
    """The error about a network whose last stage has stride 32 alone."""
    return SwtformerError(
        f"Backbone {name!r} has its last stage at stride 32, and its family cannot be dilated to a stride of "
        f"{output_stride}. Choose one that can, such as 'resnet50', 'convnext_tiny' or 'mobilenetv2_100', or "
        "model.output_stride 32."
    )


def check_images(images: Tensor, channels: int = 3) -> None:
    """Raise ValueError unless `images` is a (B, channels, H, W) batch of at least 32×32 px."""
    if images.ndim != 4 or images.shape[1] != channels or any(side < 32 for side in images.shape[2:]):
        raise ValueError(
            f"Expected images (B, {channels}, H, W) of at least 32×32 px, got {tuple(images.shape)}."
        )


def for_bands(statistics: Sequence[float], bands: int) -> tuple[float, ...]:
    """Mean or standard deviation of red, green and blue, repeated in turn for any number of bands."""
    return tuple(statistics[band % len(statistics)] for band in range(bands))
