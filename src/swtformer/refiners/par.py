"""Pixel-adaptive refinement (PAR) as a refiner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.labels import upsample
from swtformer.functional.pixel_adaptive import pixel_adaptive_refinement
from swtformer.refiners.base import Refiner, padded, unpadded


class PixelAdaptiveRefinement(Refiner):
    """PAR on the image at `par_stride`, half its size as published; the maps come out on that grid."""

    name: ClassVar[str] = "par"
    shaped_by: ClassVar[tuple[str, ...]] = ("par_",)

    def _refined(self, images: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
        stride = self.settings.par_stride
        height, width = (-(-side // stride) for side in images.shape[2:])
        refined = pixel_adaptive_refinement(
            F.interpolate(images, (height, width), mode="bilinear", align_corners=False),
            padded([upsample(own, (height, width)) for own in maps]),
            iterations=self.settings.par_iterations,
            dilations=self.settings.par_dilations,
        )
        return unpadded(refined, maps)
