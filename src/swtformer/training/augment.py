"""Training augmentation: four presets that turn a photograph into a square crop and its valid pixels.

Each preset is a frozen object that is called with an (H, W, 3) uint8 photograph and a generator. Samples stay
uint8 until they are normalised on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from swtformer.errors import SettingsError
from swtformer.settings import TrainSettings
from swtformer.training.colour_jitter import ColourJitter
from swtformer.training.placement import (
    MEAN_COLOUR,
    Photograph,
    centred_placement,
    channels_first,
    random_placement,
    scaled_size,
)
from swtformer.training.rand_augment import rand_augment

LONG_SIDES_PX = {"advcam": (320, 640), "advcam_scaled": (224, 320), "psa": (256, 512)}
"""Range of each preset's random long side, both ends included."""


class Sample(NamedTuple):
    """A crop of a photograph.

    Attributes:
        image: (3, S, S) uint8 RGB; padding has the ImageNet mean colour.
        valid: (S, S) bool, False on padding.
    """

    image: Tensor
    valid: Tensor


Augmentation = Callable[[Photograph, np.random.Generator], Sample]
"""Makes a sample of an (H, W, 3) uint8 photograph of any size; a pure function of it and the generator."""


def create_augmentation(settings: TrainSettings) -> Augmentation:
    """Build the preset that `settings.augmentation` names.

    Raises:
        SettingsError: `long_side_px` is given for `mct`, which has no long side.
    """
    if settings.augmentation == "mct":
        if settings.long_side_px is not None:
            raise SettingsError(
                "train.long_side_px has no meaning with the augmentation 'mct', which crops by area. "
                "Leave it out, or choose 'advcam', 'advcam_scaled' or 'psa'."
            )
        return RandomResizedCrop(settings.crop_px)
    long_side_px = settings.long_side_px or LONG_SIDES_PX[settings.augmentation]
    jitter = ColourJitter() if settings.augmentation == "psa" else None
    return LongSideCrop(settings.crop_px, long_side_px, jitter)


@dataclass(frozen=True)
class LongSideCrop:
    """Presets `advcam`, `advcam_scaled` and `psa`: random long side, mirror, random crop, mean padding.

    A side shorter than the crop is placed in it at random. From the code of PSA (Ahn and Kwak 2018,
    `tool/imutils.py`) and AdvCAM (Lee et al. 2021, `voc12/dataloader.py`), which pad with 0 after
    normalising. Departures: AdvCAM crops 512 and PSA 448 pixels, here `crop_px`. PSA jitters the whole
    photograph, here only the crop, which is faster and differs only in the mean grey that contrast uses.

    Resizing is Pillow's antialiased bicubic. Only the part inside the crop is resized; since the filter reads
    beyond that part, this equals resizing the whole photograph and then cropping.

    Attributes:
        crop_px: side S of the crop.
        long_side_px: range of the long side after resizing, both ends included.
        jitter: colour jitter of the photograph's pixels; None for none.
    """

    crop_px: int
    long_side_px: tuple[int, int]
    jitter: ColourJitter | None = None

    def __call__(self, image: Photograph, generator: np.random.Generator) -> Sample:
        """Draw a crop."""
        long_side = int(generator.integers(*self.long_side_px, endpoint=True))
        scaled = scaled_size(image.shape[0], image.shape[1], long_side)
        placement = random_placement(image, scaled, self.crop_px, generator)
        return Sample(placement.photograph(image, self.jitter, generator), placement.valid())


@dataclass(frozen=True)
class RandomResizedCrop:
    """Preset `mct`: random resized crop, mirror, RandAugment (rand-m9-mstd0.5-inc1), random erasing.

    MCTformer (Xu et al. 2022, `datasets.py` and `main.py`) trains with timm's `create_transform`: bicubic
    crops of 8-100 % of the area with aspect 3/4 to 4/3; no colour jitter, as RandAugment replaces it; with
    probability 1/4 one rectangle of 2-33 % of the area and aspect 0.3-3.3 becomes normal noise.

    Pixels that RandAugment rotates or shifts in from outside the crop are not valid. Erased pixels are valid,
    like those of an occluder. Departure: the noise is clipped to uint8.

    Attributes:
        crop_px: side S of the crop.
        area: range of the crop's area relative to the photograph's.
        aspect: range of the crop's width over its height, before it is resized to the square.
        erase_probability: probability of erasing a rectangle.
    """

    crop_px: int
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    erase_probability: float = 0.25

    def __call__(self, image: Photograph, generator: np.random.Generator) -> Sample:
        """Draw a crop."""
        top, left, height, width = random_box(
            image.shape[0], image.shape[1], generator, area=self.area, aspect=self.aspect
        )
        crop = Image.fromarray(image[top : top + height, left : left + width])
        crop = crop.resize((self.crop_px, self.crop_px), Image.Resampling.BICUBIC)
        if generator.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        crop, valid = rand_augment(crop, generator, fill=MEAN_COLOUR)
        pixels = np.array(crop)
        if generator.random() < self.erase_probability:
            erase(pixels, generator)
        return Sample(channels_first(pixels), torch.from_numpy(np.array(valid) > 0))


def random_box(
    height: int,
    width: int,
    generator: np.random.Generator,
    *,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop; the largest central one if ten draws do not fit.

    Args:
        height: height of the photograph, in pixels.
        width: width of the photograph, in pixels.
        generator: source of the random numbers.
        area: range of the crop's area relative to the photograph's.
        aspect: range of width over height, whose logarithm is drawn uniformly.
    """
    for _ in range(10):
        pixels = generator.uniform(*area) * height * width
        ratio = math.exp(generator.uniform(math.log(aspect[0]), math.log(aspect[1])))
        rows, columns = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
        if 1 <= rows <= height and 1 <= columns <= width:
            top = int(generator.integers(height - rows, endpoint=True))
            left = int(generator.integers(width - columns, endpoint=True))
            return top, left, rows, columns
    rows = max(1, min(height, round(width / aspect[0])))
    columns = max(1, min(width, round(height * aspect[1])))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def erase(pixels: Photograph, generator: np.random.Generator) -> None:
    """Fill one random rectangle of an (S, S, 3) image with noise of ImageNet's mean and deviation, in place.

    Random erasing, doi:10.1609/aaai.v34i07.7000, with timm's ranges. Does nothing if ten draws do not fit.
    """
    height, width = pixels.shape[:2]
    for _ in range(10):
        area = generator.uniform(0.02, 1 / 3) * height * width
        aspect = math.exp(generator.uniform(math.log(0.3), -math.log(0.3)))
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top = int(generator.integers(height - rows, endpoint=True))
            left = int(generator.integers(width - columns, endpoint=True))
            noise = generator.standard_normal((rows, columns, 3), dtype=np.float32)
            noise = (noise * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)) * 255
            pixels[top : top + rows, left : left + columns] = noise.round().clip(0, 255)
            return


@dataclass(frozen=True)
class WholeImage:
    """The whole photograph for validation: its long side fills the square, the rest is padding on both sides.

    Attributes:
        crop_px: side S of the square.
    """

    crop_px: int

    def __call__(self, image: Photograph, generator: np.random.Generator) -> Sample:
        """Fit the photograph into the square; the generator is not used."""
        placement = centred_placement(image, self.crop_px)
        return Sample(placement.photograph(image), placement.valid())
