"""What every backbone is to the rest of the program: images in, a pyramid of four maps out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four (B, C_i, h_i, w_i) maps at strides of about 4, 8, 16 and 32."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module, ABC):
    """Images to a pyramid of four feature maps, at any height and width from 32 px.

    Map sizes differ by family (375×500 px gives 12×16 or 11×15 at stage 4): take them from the maps.

    Batch-norm layers of a network with trained weights always run on their stored statistics, in training
    too: the small batches of fine-tuning would only spoil them. Their scales and offsets are trained. A
    network without trained weights has no statistics worth keeping and normalises by batch.

    Attributes:
        name: the name it was created by.
        channels: (C_1, C_2, C_3, C_4).
        mean: per-channel mean of images in [0, 1] that the weights expect to be taken away.
        std: per-channel standard deviation that they expect to be divided by.
        keeps_batch_statistics: True where batch norm uses the stored statistics in training.
    """

    name: str
    channels: tuple[int, int, int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    keeps_batch_statistics: bool = True

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

    def train(self, mode: bool = True) -> Backbone:
        """Switch between training and evaluation; batch norm keeps its statistics where they are worth it."""
        super().train(mode)
        if self.keeps_batch_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def check_images(images: Tensor) -> None:
    """Raise ValueError unless `images` is a (B, 3, H, W) batch of at least 32×32 px."""
    if images.ndim != 4 or images.shape[1] != 3 or any(side < 32 for side in images.shape[2:]):
        raise ValueError(f"Expected images (B, 3, H, W) of at least 32×32 px, got {tuple(images.shape)}.")
