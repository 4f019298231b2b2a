"""SWTformer-V2: CAMs refined by image-specific prototypes of fused features (Sec. 3-4 and 3-5)."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.activation import normalised, with_background
from swtformer.functional.losses import classification_loss, consistency_loss, contrastive_loss
from swtformer.functional.seeds import locate_seeds, prototype_similarity, prototypes, scaled_to_maximum
from swtformer.methods.base import Encoding, Localization, Method
from swtformer.methods.fusion import HierarchicalFeatureFusion
from swtformer.settings import LossSettings, ModelSettings


@final
class SWTformer(Method):
    """V1 with hierarchical feature fusion, seeds, prototypes and the losses GSC and CCL.

    The fusion sees detached features and so never steers the backbone; seeds carry no gradient; CAM and
    R-CAM meet on the grid of the fused features.
    """

    def __init__(self, backbone: Backbone, settings: ModelSettings, classes: tuple[str, ...]) -> None:
        super().__init__(backbone, settings, classes)
        self.fusion = HierarchicalFeatureFusion(backbone.channels, hff=settings.hff)

    def localize(self, encoding: Encoding, present: Tensor, *, maps: Tensor | None = None) -> Localization:
        """CAMs and R-CAMs on the grid of the fused features; see `Method.localize`."""
        with torch.autocast(encoding.activations.device.type, enabled=False):
            tokens = encoding.pyramid[-1].float()
            if maps is None:
                maps = normalised(encoding.activations.float(), norm=self.settings.norm)
            elif maps.shape[-2:] != tokens.shape[-2:]:
                maps = F.interpolate(maps, tokens.shape[-2:], mode="bilinear", align_corners=False)
            cam = with_background(maps, present, over=self.settings.background_over)
            seeds = locate_seeds(
                tokens,
                cam,
                present,
                affinity=self.settings.affinity,
                background_weight=self.settings.background_weight,
                seedless=self.settings.seedless,
            )
        features = self.fusion([stage.detach() for stage in encoding.pyramid])
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            grid = features.shape[-2:]
            centres = prototypes(features, F.interpolate(seeds, grid, mode="nearest"))
            similarities = prototype_similarity(features, centres, present)
            return Localization(
                cam=F.interpolate(cam, grid, mode="bilinear", align_corners=False),
                refined=scaled_to_maximum(similarities),
                similarities=similarities,
                seeds=seeds,
            )

    def losses(
        self, encoding: Encoding, present: Tensor, *, settings: LossSettings, valid: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Classification, consistency and contrastive loss (Eq. 2, 5, 6)."""
        losses = {"cls": classification_loss(encoding.logits.float(), present)}
        with_ccl = settings.ccl > 0 and settings.ccl_reading != "off"
        if settings.gsc == 0 and not with_ccl:
            return losses
        made = self.localize(encoding, present)
        cam, refined = made.cam, made.refined
        assert refined is not None
        if settings.detach == "cam":
            cam = cam.detach()
        elif settings.detach == "refined":
            refined = refined.detach()
        if valid is not None:
            valid = F.interpolate(valid.to(cam.dtype), cam.shape[-2:], mode="nearest")
        # Cosines near 1 need more digits than autocast's products keep.
        with torch.autocast(cam.device.type, enabled=False):
            losses |= self._map_losses(cam, refined, present, settings=settings, valid=valid)
        return losses

    @staticmethod
    def _map_losses(
        cam: Tensor, refined: Tensor, present: Tensor, *, settings: LossSettings, valid: Tensor | None
    ) -> dict[str, Tensor]:
        losses = {}
        if settings.gsc > 0:
            losses["gsc"] = consistency_loss(cam, refined, present, over=settings.gsc_over, valid=valid)
        if settings.ccl_reading != "off" and settings.ccl > 0:
            losses["ccl"] = contrastive_loss(cam, refined, present, reading=settings.ccl_reading, valid=valid)
        return losses

    def new_modules(self) -> dict[str, nn.Module]:
        """CAM head and fusion."""
        return {"head": self.head, "fusion": self.fusion}
