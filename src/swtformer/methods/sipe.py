"""SIPE: self-supervised image-specific prototype exploration on any pyramid.

Chen, Yang, Lai and Xie, Self-supervised Image-specific Prototype Exploration for Weakly Supervised Semantic
Segmentation, CVPR 2022, doi:10.1109/CVPR52688.2022.00425. R-CAM is the paper's IS-CAM.

Where paper and public code differ, this follows the code:

- The background's overlap is halved.
- In training, seeds are located by the features of the last stage. When maps are made, they are located by
  the fused features of an image and its mirror image together.
- When maps are made, all classes compete for seeds, and what an absent class wins is no seed. In training,
  only present ones compete.
- Padded pixels of a crop have a CAM of 0 and are no seeds, but GSC compares the R-CAM with this 0.

What differs from the code:

- Its seeds come from each scale's own CAM; this is `localize.seeds` view, our default is pooled.
- Its ResNet-50 has the last stage at stride 16, so CAM and fused features share a grid. On other backbones,
  CAM and seeds of the last stage are resized to the grid of the third.
- Its features are divided by their norm + 1e-5 before they are compared, ours by their norm.
- The backbone's gradients end behind its second stage; `train.freeze_stages` 2 does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.functional.losses import classification_loss, consistency_loss
from swtformer.functional.views import resized
from swtformer.methods.base import Batch
from swtformer.methods.prototypes import (
    PrototypeMethod,
    PrototypeSettings,
    Reading,
    similarities_of_pairs,
)
from swtformer.methods.pyramid import Encoding, View
from swtformer.settings import METHODS
from swtformer.settings.numbers import NonNegative, Positive


class SipeSettings(PrototypeSettings):
    """Options of SIPE; the defaults are those of its code."""

    bias: bool = False
    """Whether the CAM head has a bias."""
    background_over: Literal["present", "all"] = "all"
    """Classes whose maximum is taken away from 1 for the background map."""
    background_weight: Positive = 0.5
    """Factor on the background's overlap when seeds are located."""
    gsc: NonNegative = 1.0
    """Weight of the consistency loss between CAM and R-CAM."""
    seed_features: Literal["fused", "last"] = "fused"
    """Features whose affinity locates seeds when maps are made; in training it is always the last stage."""
    seed_classes: Literal["all", "present"] = "all"
    """Classes that compete for seeds when maps are made; in training it is always the present ones."""

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

    def compared(self, batch: Batch, encoding: Encoding) -> tuple[Tensor, Tensor, Tensor | None]:
        """CAM and R-CAM of a training step; the CAM is 0 on padded pixels, none of which is a seed."""
        with torch.autocast(encoding.activations.device.type, enabled=False):
            cam = self.cam(encoding, batch.present)
        last, valid = encoding.pyramid[-1].float(), batch.valid
        if valid is not None:
            valid = valid.to(cam.dtype)
            cam = cam * F.interpolate(valid, cam.shape[-2:], mode="nearest")
            valid = F.interpolate(valid, last.shape[-2:], mode="nearest")
        fused = self.fused(encoding.pyramid)
        made = self.reading.refine(last, fused, cam, batch.present, valid=valid)
        return resized(cam, fused.shape[-2:]), self.scaled(made.similarities), None

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {"cls": self.options.cls, "gsc": self.options.gsc}

    def has_idle_parameters(self) -> bool:
        """The fusion is trained by the consistency loss alone."""
        return self.options.gsc == 0

    def maps_depend_on_absent_classes(self) -> bool:
        """See `PyramidMethod.maps_depend_on_absent_classes`."""
        return self.options.seed_classes == "all" or super().maps_depend_on_absent_classes()

    def summed_similarities(
        self,
        encoded: Sequence[Sequence[View]],
        present: Tensor,
        *,
        pooled: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        """As in the base class, but a view and its mirror image are added before the prototypes."""
        options = self.options
        reading = replace(self.reading, seed_features=options.seed_features, competing=options.seed_classes)
        return similarities_of_pairs(self, encoded, present, reading=reading, pooled=pooled, grid=grid)
