"""RandAugment as timm's `rand-m9-mstd0.5-inc1`, with an explicit generator and a mask of the real pixels.

timm's own uses the global generators of `random` and NumPy, so its samples could not be reproduced by a
resumed run, and it has no mask. Cubuk et al., doi:10.1109/CVPRW50498.2020.00359.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

LAYERS = 2
PROBABILITY = 0.5
MAGNITUDE = 9.0
MAGNITUDE_DEVIATION = 0.5

Fill = tuple[int, int, int]
ColourOperation = Callable[[Image.Image, float], Image.Image]
"""Changes the colours of an RGB image by a strength in [-1, 1]; only some operations use the sign."""
ShapeOperation = Callable[[Image.Image, float, Image.Resampling, Any], Image.Image]
"""Moves an image of any mode by a strength in [-1, 1], with a resampling filter and a fill colour."""


def rand_augment(
    image: Image.Image, generator: np.random.Generator, *, fill: Fill
) -> tuple[Image.Image, Image.Image]:
    """Apply two operations drawn with replacement from the fifteen, each with probability one half.

    Args:
        image: RGB.
        generator: source of the random numbers.
        fill: colour of pixels from outside the image.

    Returns:
        The image, and an L image of the same size: 0 on filled pixels, 255 elsewhere.
    """
    valid = Image.new("L", image.size, 255)
    for name in generator.choice(sorted(COLOURS | SHAPES), LAYERS):
        if generator.random() >= PROBABILITY:
            continue
        strength = float(np.clip(generator.normal(MAGNITUDE, MAGNITUDE_DEVIATION), 0, 10)) / 10
        if generator.random() < 0.5:
            strength = -strength
        if name in COLOURS:
            image = COLOURS[name](image, strength)
        else:
            image = SHAPES[name](image, strength, Image.Resampling.BICUBIC, fill)
            valid = SHAPES[name](valid, strength, Image.Resampling.NEAREST, 0)
    return image, valid


def _posterize(image: Image.Image, strength: float) -> Image.Image:
    """Keep 4 to 1 bits of each channel; timm keeps 0 at times, which Pillow 13 refuses."""
    return ImageOps.posterize(image, max(1, 4 - int(abs(strength) * 4)))


def _solarize_add(image: Image.Image, strength: float) -> Image.Image:
    """Brighten the dark half of each channel by up to 110."""
    added = int(abs(strength) * 110)
    return image.point([min(255, level + added) if level < 128 else level for level in range(256)] * 3)


def _enhanced(kind: Callable[[Image.Image], Any]) -> ColourOperation:
    """By a factor in [0.1, 1.9]; 1 changes nothing."""
    return lambda image, strength: kind(image).enhance(max(0.1, 1 + 0.9 * strength))


def _rotate(image: Image.Image, strength: float, resample: Image.Resampling, fill: Any) -> Image.Image:
    return image.rotate(30 * strength, resample=resample, fillcolor=fill)


def _affine(matrix: Callable[[Image.Image, float], tuple[float, ...]]) -> ShapeOperation:
    return lambda image, strength, resample, fill: image.transform(
        image.size, Image.Transform.AFFINE, matrix(image, strength), resample=resample, fillcolor=fill
    )


COLOURS: dict[str, ColourOperation] = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
    "PosterizeIncreasing": _posterize,
    "SolarizeIncreasing": lambda image, strength: ImageOps.solarize(image, 256 - int(abs(strength) * 256)),
    "SolarizeAdd": _solarize_add,
    "ColorIncreasing": _enhanced(ImageEnhance.Color),
    "ContrastIncreasing": _enhanced(ImageEnhance.Contrast),
    "BrightnessIncreasing": _enhanced(ImageEnhance.Brightness),
    "SharpnessIncreasing": _enhanced(ImageEnhance.Sharpness),
}
"""Operations that leave every pixel where it is, under timm's names."""

SHAPES: dict[str, ShapeOperation] = {
    "Rotate": _rotate,
    "ShearX": _affine(lambda _, strength: (1, 0.3 * strength, 0, 0, 1, 0)),
    "ShearY": _affine(lambda _, strength: (1, 0, 0, 0.3 * strength, 1, 0)),
    "TranslateXRel": _affine(lambda image, strength: (1, 0, 0.45 * strength * image.width, 0, 1, 0)),
    "TranslateYRel": _affine(lambda image, strength: (1, 0, 0, 0, 1, 0.45 * strength * image.height)),
}
"""Operations that move pixels, under timm's names."""
