"""MCTformer+: V2 with rank pooling, and a loss that makes class tokens differ (see `class_tokens`)."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from swtformer.backbones.attentive_vit import Tokens
from swtformer.functional.attention import class_token_contrast
from swtformer.methods.base import Batch
from swtformer.methods.class_tokens import PatchCamMethod, PatchCamSettings, token_logits
from swtformer.settings import METHODS
from swtformer.settings.numbers import Count, NonNegative


class MCTformerPlusSettings(PatchCamSettings):
    """Options of MCTformer+; the defaults are those of its code."""

    attention_layers: Count = 12
    """Last layers whose class attention is summed; all where the network has fewer."""
    pooling: Literal["gap", "gmp", "gwrp"] = "gwrp"
    """Pooling from the head's output to class logits: mean, maximum, or globally weighted rank pooling."""
    fusion: Literal["product", "geometric", "class_attention", "patch_cam"] = "geometric"
    """Maps: class attention times positive patch CAM, the square root of that, or one of the two alone."""
    contrast: NonNegative = 1.0
    """Weight of the contrast between class tokens."""
    contrast_layers: Count = 12
    """Last layers whose class tokens are contrasted; all where the network has fewer."""


@final
@METHODS.register("mctformer_plus")
class MCTformerPlus(PatchCamMethod):
    """The geometric mean of class attention and patch CAM, spread by patch affinity.

    The code averages class attention over the layers; a sum gives the same maps. The mean of both logits says
    which classes an image shows, as where the code makes maps; its evaluation takes the class tokens' alone.
    Refiners and segmentation networks cannot start from it (`reusable_features` is None): its layers share
    one stride, and its class tokens belong to the network.
    """

    settings_type = MCTformerPlusSettings
    loss_names = ("cls", "patch_cls", "contrast")
    options: MCTformerPlusSettings

    def logits(self, images: Tensor) -> Tensor:
        """Mean of both logits; see `Method.logits`."""
        last = self.tokens(images)[-1]
        return self.class_logits(last, self.head(last.patches))

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Both classification losses and the contrast of class tokens."""
        layers = self.tokens(batch.images)
        losses = self.classification(layers[-1], batch.present)
        if self.options.contrast > 0:
            tokens = torch.stack([each.classes for each in layers[-self.options.contrast_layers :]])
            with torch.autocast(tokens.device.type, enabled=False):
                losses["contrast"] = class_token_contrast(tokens.float(), batch.present)
        return losses

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {**super().loss_weights(epoch), "contrast": self.options.contrast}

    def class_logits(self, last: Tokens, activations: Tensor) -> Tensor:
        """See `PatchCamMethod.class_logits`; here the mean of both logits."""
        return (token_logits(last) + self.patch_logits(activations)) / 2
