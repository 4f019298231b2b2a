"""Two forward passes per step, after SEAM (Wang et al., CVPR 2020): maps shall not change with the scale."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import normalised
from swtformer.functional.losses import classification_loss
from swtformer.functional.views import SMALLEST_SIDE_PX
from swtformer.methods import Batch, PyramidMethod, PyramidSettings
from swtformer.settings.numbers import Fraction, NonNegative


class TwoPassesSettings(PyramidSettings):
    """Options of the toy."""

    second_scale: Fraction = 0.5
    """Size of the images in the second pass, relative to the first."""
    er: NonNegative = 1.0
    """Weight of the equivariance loss."""


@final
class TwoPasses(PyramidMethod):
    """Compares the maps of an image with those of the same image at a smaller scale."""

    settings_type = TwoPassesSettings
    loss_names = ("cls", "er")
    options: TwoPassesSettings

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification at both scales, and the mean absolute gap between the maps (ER)."""
        images = batch.images.float() / 255 if not batch.images.is_floating_point() else batch.images
        size = [max(round(side * self.options.second_scale), SMALLEST_SIDE_PX) for side in images.shape[-2:]]
        first = self.encode(images)
        second = self.encode(F.interpolate(images, size, mode="bilinear", align_corners=False))
        absent = batch.present[:, :, None, None] == 0
        one, two = (
            normalised(encoding.activations.float(), norm="max").masked_fill(absent, 0)
            for encoding in (first, second)
        )
        gap = F.interpolate(one, two.shape[-2:], mode="bilinear", align_corners=False) - two
        both = [classification_loss(encoding.logits.float(), batch.present) for encoding in (first, second)]
        return {"cls": (both[0] + both[1]) / 2, "er": gap.abs().mean()}

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the settings."""
        return {"cls": self.options.cls, "er": self.options.er}
