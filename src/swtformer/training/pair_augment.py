"""Augmentation of photographs with masks: the same geometry for both, colour jitter for the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from swtformer.label_values import IGNORED
from swtformer.settings import SegmentSettings
from swtformer.training.augment import (
    MEAN_COLOUR,
    ColourJitter,
    Photograph,
    channels_first,
    random_window,
    scaled_size,
)


class Pair(NamedTuple):
    """A crop of a photograph and of its mask.

    Attributes:
        image: (3, S, S) uint8 RGB; padding has the ImageNet mean colour.
        mask: (S, S) uint8 labels; 255 on padding.
    """

    image: Tensor
    mask: Tensor


class PairAugmentation(Protocol):
    """A pure function of photograph, mask and the generator's state."""

    def __call__(self, image: Photograph, mask: np.ndarray, generator: np.random.Generator) -> Pair:
        """Make a pair of an (H, W, 3) uint8 photograph and its (H, W) uint8 mask."""


def create_pair_augmentation(settings: SegmentSettings) -> PairAugmentation:
    """The augmentation that the settings describe."""
    strength = settings.jitter
    jitter = ColourJitter(strength, strength, strength, strength / 3) if strength > 0 else None
    return ScaleCrop(settings.crop_px, settings.scale, jitter)


@dataclass(frozen=True)
class ScaleCrop:
    """Random scale, crop, mirror and colour jitter, as usual for segmentation (mmsegmentation, DeepLab).

    The mask is resized by nearest neighbour. A side shorter than the crop is placed in it at random; the mask
    is 255 around it. Only the part of the photograph inside the crop is resized.

    Attributes:
        crop_px: side S of the crop.
        scale: range of the uniformly drawn factor on the photograph's size.
        jitter: colour jitter; None for none.
    """

    crop_px: int
    scale: tuple[float, float]
    jitter: ColourJitter | None = None

    def __call__(self, image: Photograph, mask: np.ndarray, generator: np.random.Generator) -> Pair:
        """Draw a crop."""
        height, width = image.shape[:2]
        factor = generator.uniform(*self.scale)
        scaled_height, scaled_width = max(1, round(height * factor)), max(1, round(width * factor))
        rows = random_window(scaled_height, self.crop_px, generator)
        columns = random_window(scaled_width, self.crop_px, generator)
        mirrored = generator.random() < 0.5
        left, right = columns.source(width / scaled_width, width)
        top, bottom = rows.source(height / scaled_height, height)
        size, box = (columns.length, rows.length), (left, top, right, bottom)
        patch = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box)
        if self.jitter is not None:
            patch = self.jitter(patch, generator)
        pixels = np.asarray(patch)
        labels = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST, box=box))
        if mirrored:
            pixels, labels = pixels[:, ::-1], labels[:, ::-1]
        return _placed(pixels, labels, self.crop_px, rows.target, columns.target)


@dataclass(frozen=True)
class WholePair:
    """The whole pair for validation: its long side fills the square, the rest is padding on both sides.

    Attributes:
        crop_px: side S of the square.
    """

    crop_px: int

    def __call__(self, image: Photograph, mask: np.ndarray, generator: np.random.Generator) -> Pair:
        """Fit the pair into the square; the generator is not used."""
        rows, columns = scaled_size(image.shape[0], image.shape[1], self.crop_px)
        pixels = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC))
        labels = np.asarray(Image.fromarray(mask).resize((columns, rows), Image.Resampling.NEAREST))
        return _placed(
            pixels, labels, self.crop_px, (self.crop_px - rows) // 2, (self.crop_px - columns) // 2
        )


def _placed(pixels: np.ndarray, labels: np.ndarray, crop_px: int, top: int, left: int) -> Pair:
    """Place both in a square of the mean colour and of unknown labels."""
    height, width = labels.shape
    image = np.full((crop_px, crop_px, 3), MEAN_COLOUR, dtype=np.uint8)
    mask = np.full((crop_px, crop_px), IGNORED, dtype=np.uint8)
    image[top : top + height, left : left + width] = pixels
    mask[top : top + height, left : left + width] = labels
    return Pair(channels_first(image), torch.from_numpy(mask))
