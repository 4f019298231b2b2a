"""Training augmentation: four presets that turn a photograph into a square crop and its valid pixels.

Each preset is a frozen object that is called with an (H, W, 3) uint8 photograph and a generator. Samples stay
uint8 until they are normalised on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from swtformer.errors import SettingsError
from swtformer.settings import TrainSettings
from swtformer.training.rand_augment import rand_augment

MEAN_COLOUR = (124, 116, 104)
"""Colour of padding: the ImageNet mean in 0-255, about 0 once normalised, as in the presets' sources."""

LONG_SIDES_PX = {"advcam": (320, 640), "advcam_scaled": (224, 320), "psa": (256, 512)}
"""Range of each preset's random long side, both ends included."""

Photograph = NDArray[np.uint8]


class Sample(NamedTuple):
    """A crop of a photograph.

    Attributes:
        image: (3, S, S) uint8 RGB; padding has the ImageNet mean colour.
        valid: (S, S) bool, False on padding.
    """

    image: Tensor
    valid: Tensor


class Augmentation(Protocol):
    """A pure function of a photograph and the generator's state."""

    def __call__(self, image: Photograph, generator: np.random.Generator) -> Sample:
        """Make a sample of an (H, W, 3) uint8 photograph of any size."""


def create_augmentation(settings: TrainSettings) -> Augmentation:
    """Build the preset that `settings.augmentation` names.

    Raises:
        SettingsError: `long_side_px` is given for `mct`, which has no long side, or is not ascending.
    """
    low_high = settings.long_side_px
    if settings.augmentation == "mct":
        if low_high is not None:
            raise SettingsError(
                "train.long_side_px has no meaning with the augmentation 'mct', which crops by area. "
                "Leave it out, or choose 'advcam', 'advcam_scaled' or 'psa'."
            )
        return RandomResizedCrop(settings.crop_px)
    low, high = low_high or LONG_SIDES_PX[settings.augmentation]
    if low > high:
        raise SettingsError(
            f"train.long_side_px: expected the smaller side first, got {low}, {high}; write {high}, {low}."
        )
    jitter = ColourJitter() if settings.augmentation == "psa" else None
    return LongSideCrop(settings.crop_px, (low, high), jitter)


@dataclass(frozen=True)
class ColourJitter:
    """Random brightness, contrast, saturation and hue, in random order, like torchvision's ColorJitter.

    Attributes:
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: rotation of the colour circle, drawn from [-hue, hue], at most 0.5.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    hue: float = 0.1

    def __call__(self, image: Image.Image, generator: np.random.Generator) -> Image.Image:
        """Jitter an RGB image."""
        spans = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        brightness, contrast, saturation, hue = generator.uniform(-spans, spans)
        for step in generator.permutation(4):
            if step == 0:
                image = ImageEnhance.Brightness(image).enhance(1 + brightness)
            elif step == 1:
                image = ImageEnhance.Contrast(image).enhance(1 + contrast)
            elif step == 2:
                image = ImageEnhance.Color(image).enhance(1 + saturation)
            else:
                image = shift_hue(image, hue)
        return image


def shift_hue(image: Image.Image, turn: float) -> Image.Image:
    """Rotate the colour circle of an RGB image by a fraction of a full turn in [-0.5, 0.5]."""
    steps = int(turn * 255)
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + steps) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


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
        height, width = image.shape[:2]
        long_side = int(generator.integers(*self.long_side_px, endpoint=True))
        scaled_height, scaled_width = scaled_size(height, width, long_side)
        rows = random_window(scaled_height, self.crop_px, generator)
        columns = random_window(scaled_width, self.crop_px, generator)
        mirrored = generator.random() < 0.5
        left, right = columns.source(width / scaled_width, width)
        top, bottom = rows.source(height / scaled_height, height)
        patch = Image.fromarray(image).resize(
            (columns.length, rows.length), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
        )
        if self.jitter is not None:
            patch = self.jitter(patch, generator)
        pixels = np.asarray(patch)
        return _pad(pixels[:, ::-1] if mirrored else pixels, self.crop_px, rows.target, columns.target)


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
        rows, columns = scaled_size(image.shape[0], image.shape[1], self.crop_px)
        pixels = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC))
        return _pad(pixels, self.crop_px, (self.crop_px - rows) // 2, (self.crop_px - columns) // 2)


def scaled_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width after resizing the longer side to `long_side`; a side never shrinks below 1."""
    scale = long_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class Window(NamedTuple):
    """Part of a side that a crop shows, in resized pixels.

    Attributes:
        start: its start in the resized photograph.
        target: its start in the crop.
        length: its length.
    """

    start: int
    target: int
    length: int

    def source(self, scale: float, size: int) -> tuple[float, float]:
        """The window in pixels of the photograph before resizing."""
        return self.start * scale, min((self.start + self.length) * scale, size)


def random_window(size: int, crop: int, generator: np.random.Generator) -> Window:
    """A random window of a side longer than the crop, or a random place for a shorter one, in pixels."""
    gap = size - crop
    offset = int(generator.integers(abs(gap), endpoint=True))
    return Window(offset, 0, crop) if gap > 0 else Window(0, offset, size)


def _pad(pixels: Photograph, crop_px: int, top: int, left: int) -> Sample:
    """Place an (h, w, 3) image in a square of the mean colour."""
    height, width = pixels.shape[:2]
    padded = np.full((crop_px, crop_px, 3), MEAN_COLOUR, dtype=np.uint8)
    padded[top : top + height, left : left + width] = pixels
    valid = torch.zeros(crop_px, crop_px, dtype=torch.bool)
    valid[top : top + height, left : left + width] = True
    return Sample(channels_first(padded), valid)


def channels_first(pixels: Photograph) -> Tensor:
    """An (H, W, 3) image as (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
