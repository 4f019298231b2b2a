"""Pixel-adaptive refinement (PAR) as a refiner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from swtformer.functional.labels import upsample
from swtformer.functional.pixel_adaptive import pixel_adaptive_refinement
from swtformer.refiners.base import Refiner, padded, unpadded
from swtformer.settings import REFINERS, Section
from swtformer.settings.numbers import Count


class ParSettings(Section):
    """Options of PAR."""

    iterations: Count = 3
    """Rounds of averaging over the neighbours."""
    dilations: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 12, 24)
    """Distances of the eight neighbours, in pixels of that size."""
    stride: Count = 2
    """PAR works at the image's size divided by this; 2 as published."""


@REFINERS.register("par")
class PixelAdaptiveRefinement(Refiner):
    """PAR at a stride of the image, 2 as published; the refined maps are on that grid."""

    settings_type = ParSettings
    options: ParSettings

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        stride = self.options.stride
        height, width = (-(-side // stride) for side in images.shape[2:])
        refined = pixel_adaptive_refinement(
            F.interpolate(images, (height, width), mode="bilinear", align_corners=False),
            padded([upsample(own, (height, width)) for own in maps]),
            iterations=self.options.iterations,
            dilations=self.options.dilations,
        )
        return unpadded(refined, maps)
