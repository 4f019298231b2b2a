"""SIPE: self-supervised image-specific prototype exploration on any pyramid.

Chen, Yang, Lai and Xie, Self-supervised Image-specific Prototype Exploration for Weakly Supervised Semantic
Segmentation, CVPR 2022, doi:10.1109/CVPR52688.2022.00425. Where paper and public code differ, this follows
the code: the background's overlap is halved, and at inference seeds are located by the fused features of an
image and its mirror image together. There, its seeds come from each scale's own CAM, which is
`localize.seeds` view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor

from swtformer.functional.losses import classification_loss, consistency_loss
from swtformer.methods.base import Batch
from swtformer.methods.prototypes import (
    PrototypeMethod,
    PrototypeSettings,
    Reading,
    similarities_of_pairs,
)
from swtformer.methods.pyramid import View
from swtformer.settings import METHODS
from swtformer.settings.numbers import NonNegative, Positive


class SipeSettings(PrototypeSettings):
    """Options of SIPE; the defaults are those of its code."""

    background_over: Literal["present", "all"] = "all"
    """Classes whose maximum is taken away from 1 for the background map."""
    background_weight: Positive = 0.5
    """Factor on the background's overlap when seeds are located."""
    gsc: NonNegative = 1.0
    """Weight of the consistency loss between CAM and R-CAM."""
    seed_features: Literal["fused", "last"] = "fused"
    """Features whose affinity locates seeds when maps are made; in training it is always the last stage."""

    def reading(self) -> Reading:
        """That of SIPE's code, in training."""
        return Reading(
            hff="single",
            seed_features="last",
            affinity="relu",
            background_weight=self.background_weight,
            seedless="none",
            scaled="each",
        )


@final
@METHODS.register("sipe")
class SIPE(PrototypeMethod):
    """R-CAMs from prototypes of features that are joined without convolutions over space.

    SIPE's backbone is ResNet-50 with its last stage at stride 16: `model.backbone` resnet50,
    `model.output_stride` 16 and `model.dilated` false.
    """

    settings_type = SipeSettings
    loss_names = ("cls", "gsc")
    options: SipeSettings

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification loss and consistency of CAM and R-CAM over all channels, both with gradients."""
        encoding = self.encode(batch.images)
        losses = {"cls": classification_loss(encoding.logits.float(), batch.present)}
        if self.options.gsc > 0:
            cam, rcam, valid = self.compared(batch, encoding)
            with torch.autocast(cam.device.type, enabled=False):
                losses["gsc"] = consistency_loss(cam, rcam, batch.present, over="all", valid=valid)
        return losses

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {"cls": self.options.cls, "gsc": self.options.gsc}

    def has_idle_parameters(self) -> bool:
        """The fusion is trained by the consistency loss alone."""
        return self.options.gsc == 0

    def summed_similarities(
        self, encoded: Sequence[View], present: Tensor, *, pooled: Tensor | None, grid: tuple[int, int]
    ) -> Tensor:
        """As in the base class, but a view and its mirror image are added before the prototypes."""
        reading = replace(self.reading, seed_features=self.options.seed_features)
        return similarities_of_pairs(self, encoded, present, reading=reading, pooled=pooled, grid=grid)
