"""SWTformer-V2: R-CAMs from image-specific prototypes of fused features (Sec. 3-4 and 3-5)."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from swtformer.functional.losses import classification_loss, consistency_loss, contrastive_loss
from swtformer.methods.base import Batch
from swtformer.methods.prototypes import PrototypeMethod, PrototypeSettings, Reading
from swtformer.settings import METHODS
from swtformer.settings.numbers import NonNegative, Positive


class SWTformerV2Settings(PrototypeSettings):
    """Readings of the fusion, the seeds and the losses (METHOD 2)."""

    hff: Literal["pair", "pair_coarse", "single"] = "pair"
    """Hierarchical feature fusion: in pairs at stride 16, in pairs at stride 32, or all at once (as SIPE)."""
    background_weight: Positive = 0.5
    """Factor on the background's overlap when seeds are located."""
    fusion_multiplier: Positive = 10.0
    """Learning rate of the feature fusion relative to the backbone's."""
    affinity: Literal["abs", "relu"] = "abs"
    """Token affinity: absolute cosine as in Eq. 4, or its positive part."""
    seedless: Literal["closest", "none"] = "closest"
    """A present class that wins no seed: gets the token where it comes closest to winning, or stays dark."""
    gsc: NonNegative = 1.0
    """Weight of the consistency loss between CAM and R-CAM."""
    ccl: NonNegative = 1.0
    """Weight of the class-wise contrastive loss."""
    gsc_over: Literal["all", "present"] = "present"
    """Channels that the consistency loss averages over."""
    ccl_reading: Literal["literal", "per_class", "matrix", "off"] = "matrix"
    """How Eq. 6 is read: cosine of whole maps, per present class, between all pairs of classes, or not."""
    detach: Literal["none", "cam", "rcam"] = "cam"
    """Side of GSC and CCL that receives no gradient."""
    ramp_epochs: NonNegative = 0.0
    """Epochs over which the weights of GSC and CCL rise linearly from 0."""

    def reading(self) -> Reading:
        """That of the paper, as far as these options leave it open."""
        return Reading(
            hff=self.hff,
            seed_features="last",
            affinity=self.affinity,
            background_weight=self.background_weight,
            seedless=self.seedless,
            scaled="each",
        )


@final
@METHODS.register("swtformer_v2")
class SWTformerV2(PrototypeMethod):
    """V1 with hierarchical feature fusion, seeds, prototypes and the losses GSC and CCL."""

    settings_type = SWTformerV2Settings
    loss_names = ("cls", "gsc", "ccl")
    options: SWTformerV2Settings

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification, consistency and contrastive loss (Eq. 2, 5, 6); those of weight 0 are left out."""
        encoding = self.encode(batch.images)
        losses = {"cls": classification_loss(encoding.logits.float(), batch.present)}
        if not (self._has_consistency or self._has_contrast):
            return losses
        cam, rcam, valid = self.compared(batch, encoding)
        if self.options.detach == "cam":
            cam = cam.detach()
        elif self.options.detach == "rcam":
            rcam = rcam.detach()
        # Cosines near 1 need more digits than autocast's products keep.
        with torch.autocast(cam.device.type, enabled=False):
            if self._has_consistency:
                over = self.options.gsc_over
                losses["gsc"] = consistency_loss(cam, rcam, batch.present, over=over, valid=valid)
            if self._has_contrast and self.options.ccl_reading != "off":
                reading = self.options.ccl_reading
                losses["ccl"] = contrastive_loss(cam, rcam, batch.present, reading=reading, valid=valid)
        return losses

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of Eq. 7; GSC and CCL rise over `ramp_epochs`."""
        options = self.options
        ramp = min(epoch / options.ramp_epochs, 1.0) if options.ramp_epochs > 0 else 1.0
        return {"cls": options.cls, "gsc": options.gsc * ramp, "ccl": options.ccl * ramp}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """See `Method.parameter_groups`; the fusion is a group of its own."""
        groups = super().parameter_groups()
        fusion = {id(parameter) for parameter in self.fusion.parameters()}
        groups["head"] = [parameter for parameter in groups["head"] if id(parameter) not in fusion]
        return groups | {"fusion": list(self.fusion.parameters())}

    def learning_rate_multipliers(self) -> dict[str, float]:
        """See `Method.learning_rate_multipliers`."""
        return {"fusion": self.options.fusion_multiplier}

    def has_idle_parameters(self) -> bool:
        """The fusion is trained by GSC and CCL through the R-CAM alone."""
        return self.options.detach == "rcam" or not (self._has_consistency or self._has_contrast)

    @property
    def _has_consistency(self) -> bool:
        return self.options.gsc > 0

    @property
    def _has_contrast(self) -> bool:
        return self.options.ccl > 0 and self.options.ccl_reading != "off"
