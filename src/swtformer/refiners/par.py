"""Pixel-adaptive refinement (PAR) as a refiner."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.labels import upsample
from swtformer.functional.pixel_adaptive import pixel_adaptive_refinement
from swtformer.refiners.base import Refiner


class PixelAdaptiveRefinement(Refiner):
    """PAR on the image at `par_stride`, half its size as published; the maps come out on that grid."""

    name: ClassVar[str] = "par"
    shaped_by: ClassVar[tuple[str, ...]] = ("par_",)

    def _refined(self, image: Tensor, maps: Tensor) -> Tensor:
        stride = self.settings.par_stride
        height, width = (-(-side // stride) for side in image.shape[1:])
        small = F.interpolate(image[None], (height, width), mode="bilinear", align_corners=False)
        return pixel_adaptive_refinement(
            small,
            upsample(maps, (height, width))[None],
            iterations=self.settings.par_iterations,
            dilations=self.settings.par_dilations,
        )[0]
