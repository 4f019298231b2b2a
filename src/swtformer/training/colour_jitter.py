"""Random colours of photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance


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
