"""Augmentation of photographs with masks: the same geometry for both, colour jitter for the photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from swtformer.settings import SegmentSettings
from swtformer.training.colour_jitter import ColourJitter
from swtformer.training.placement import Photograph, centred_placement, random_placement


class Pair(NamedTuple):
    """A crop of a photograph and of its mask.

    Attributes:
        image: (3, S, S) uint8 RGB; padding has the ImageNet mean colour.
        mask: (S, S) uint8 labels; 255 on padding.
    """

    image: Tensor
    mask: Tensor


PairAugmentation = Callable[[Photograph, np.ndarray, np.random.Generator], Pair]
"""Makes a pair of an (H, W, 3) uint8 photograph and its (H, W) uint8 mask; a pure function of them."""


def create_pair_augmentation(settings: SegmentSettings) -> PairAugmentation:
    """The augmentation that the settings describe."""
    strength = settings.jitter
    jitter = ColourJitter(strength, strength, strength, strength / 3) if strength > 0 else None
    return ScaleCrop(settings.crop_px, settings.scale, jitter, settings.long_side_px)


@dataclass(frozen=True)
class ScaleCrop:
    """Random scale, crop, mirror and colour jitter, as usual for segmentation (mmsegmentation, DeepLab).

    The mask is resized by nearest neighbour. A side shorter than the crop is placed in it at random; the mask
    is 255 around it.

    Attributes:
        crop_px: side S of the crop.
        scale: range of the uniformly drawn factor on that size.
        jitter: colour jitter; None for none.
        long_side_px: of the photograph at scale 1; None for its own.
    """

    crop_px: int
    scale: tuple[float, float]
    jitter: ColourJitter | None = None
    long_side_px: int | None = None

    def __call__(self, image: Photograph, mask: np.ndarray, generator: np.random.Generator) -> Pair:
        """Draw a crop."""
        height, width = image.shape[:2]
        factor = generator.uniform(*self.scale)
        if self.long_side_px is not None:
            factor *= self.long_side_px / max(height, width)
        scaled = max(1, round(height * factor)), max(1, round(width * factor))
        placement = random_placement(image, scaled, self.crop_px, generator)
        return Pair(placement.photograph(image, self.jitter, generator), placement.mask(mask))


@dataclass(frozen=True)
class WholePair:
    """The whole pair for validation: its long side fills the square, the rest is padding on both sides.

    Attributes:
        crop_px: side S of the square.
    """

    crop_px: int

    def __call__(self, image: Photograph, mask: np.ndarray, generator: np.random.Generator) -> Pair:
        """Fit the pair into the square; the generator is not used."""
        placement = centred_placement(image, self.crop_px)
        return Pair(placement.photograph(image), placement.mask(mask))
