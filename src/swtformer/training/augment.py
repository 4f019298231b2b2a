"""Training augmentation: four presets that turn a photograph into a square crop and its valid pixels.

Each preset is a frozen object called with an (H, W, 3) uint8 photograph and a generator, and is a pure
function of the two. Samples stay uint8 until they are on the device, where they are normalised.
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

from swtformer.errors import SettingsError
from swtformer.settings import TrainSettings
from swtformer.training.rand_augment import rand_augment

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MEAN_COLOUR = (124, 116, 104)
"""Padding: the ImageNet mean in 0-255, about 0 once normalised, as in the code that the presets come from."""

LONG_SIDES_PX = {"advcam": (320, 640), "advcam_scaled": (224, 320), "psa": (256, 512)}
"""Each preset's own range of the random long side, both ends included."""

Photograph = NDArray[np.uint8]


class Sample(NamedTuple):
    """A crop that is ready for the device.

    Attributes:
        image: (3, S, S) uint8 RGB; padding has the ImageNet mean colour.
        valid: (S, S) bool, False where `image` shows no part of the photograph.
    """

    image: Tensor
    valid: Tensor


class Augmentation(Protocol):
    """What every preset is: a pure function of the photograph and the generator's state."""

    def __call__(self, image: Photograph, generator: np.random.Generator) -> Sample:
        """Turn an (H, W, 3) uint8 photograph of any size into a sample."""


def create_augmentation(settings: TrainSettings) -> Augmentation:
    """Build the preset that `settings.augmentation` names.

    Raises:
        SettingsError: `long_side_px` is given for `mct`, which has no long side, or is no rising range.
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
    """Random brightness, contrast, saturation and hue, in random order, as torchvision's ColorJitter.

    Attributes:
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: shift of the colour circle, drawn from [-hue, hue], at most 0.5.
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
    """Turn the colour circle of an RGB image by a fraction of a full turn in [-0.5, 0.5]."""
    steps = int(turn * 255)
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + steps) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


@dataclass(frozen=True)
class LongSideCrop:
    """Presets `advcam`, `advcam_scaled` and `psa`: random long side, mirror, random crop, mean padding.

    A side that is shorter than the crop is not cropped but put at a random place of it. From the code of PSA
    (Ahn and Kwak 2018, `tool/imutils.py`) and AdvCAM (Lee et al. 2021, `voc12/dataloader.py`), which pad with
    0 after normalising. Departures: AdvCAM crops 512 and PSA 448 pixels, here `crop_px`; and PSA jitters the
    whole picture, here only the crop, which is faster and differs only in the grey that contrast turns about.

    Resizing is Pillow's antialiased bicubic. Only the part that ends in the crop is resized; the filter looks
    across the border of that part, so this equals resizing the whole photograph and then cropping.

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
    crops of 8-100 % of the area and aspect 3/4 to 4/3; colour jitter is off there because RandAugment is on;
    with probability 1/4 one rectangle of 2-33 % of the area and aspect 0.3-3.3 becomes normal noise.

    What RandAugment turns or shifts in from outside the crop is not valid. Erased pixels stay valid: they
    hide the photograph as an occluder would. Departure: the noise is cut to what uint8 holds.

    Attributes:
        crop_px: side S of the crop.
        area: range of the crop's part of the photograph's area.
        aspect: range of the crop's width over its height before it is resized to the square.
        erase_probability: how often a rectangle is erased.
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
        height: of the photograph, in pixels.
        width: of the photograph, in pixels.
        generator: where the random numbers come from.
        area: range of the crop's part of the photograph's area.
        aspect: range of width over height, drawn evenly in its logarithm.
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

    Random erasing, doi:10.1609/aaai.v34i07.7000, with timm's ranges. Nothing happens if ten draws do not fit.
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
    """How validation sees a photograph: its long side fills the square, the rest is even padding.

    Nothing is random and nothing is cut off, so every labelled object is in view.

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
    """What a crop takes along one side, in resized pixels.

    Attributes:
        start: where it begins in the resized photograph.
        target: where it comes to lie in the crop.
        length: how much there is of it.
    """

    start: int
    target: int
    length: int

    def source(self, scale: float, size: int) -> tuple[float, float]:
        """The window in pixels of the photograph before resizing."""
        return self.start * scale, min((self.start + self.length) * scale, size)


def random_window(size: int, crop: int, generator: np.random.Generator) -> Window:
    """A random place of a crop in a longer side, or of a shorter side in the crop, in pixels."""
    gap = size - crop
    offset = int(generator.integers(abs(gap), endpoint=True))
    return Window(offset, 0, crop) if gap > 0 else Window(0, offset, size)


def _pad(pixels: Photograph, crop_px: int, top: int, left: int) -> Sample:
    """Put an (h, w, 3) image at a place of a mean-coloured square."""
    height, width = pixels.shape[:2]
    padded = np.full((crop_px, crop_px, 3), MEAN_COLOUR, dtype=np.uint8)
    padded[top : top + height, left : left + width] = pixels
    valid = torch.zeros(crop_px, crop_px, dtype=torch.bool)
    valid[top : top + height, left : left + width] = True
    return Sample(channels_first(padded), valid)


def channels_first(pixels: Photograph) -> Tensor:
    """(3, H, W) of an (H, W, 3) image."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
