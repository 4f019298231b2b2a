"""SWTformer-V1: a classifier on patch tokens whose CAM head gives the maps (Sec. 3-2 and 3-3)."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.activation import normalised, with_background
from swtformer.functional.losses import classification_loss
from swtformer.methods.base import Encoding, Localization, Method
from swtformer.settings import LossSettings


@final
class Classifier(Method):
    """CAMs of Eq. 1 from a CAM head on the last stage, trained with the classification loss alone."""

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """CAMs on the grid of the last stage; see `Method.localize`."""
        if maps is None:
            maps = normalised(encoding.activations.float(), norm=self.settings.norm)
        if maps.shape[-2:] != encoding.activations.shape[-2:]:
            maps = F.interpolate(maps, encoding.activations.shape[-2:], mode="bilinear", align_corners=False)
        return Localization(cam=with_background(maps, present, over=self.settings.background_over))

    def losses(
        self, encoding: Encoding, present: Tensor, *, settings: LossSettings, valid: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The classification loss (Eq. 2)."""
        return {"cls": classification_loss(encoding.logits.float(), present)}
