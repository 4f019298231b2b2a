"""MCTformer+: V2 with rank pooling, and a loss that makes class tokens differ (see `class_tokens`)."""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor

from swtformer.backbones.attentive_vit import Tokens
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
    options: MCTformerPlusSettings

    def logits(self, images: Tensor) -> Tensor:
        """Mean of both logits; see `Method.logits`."""
        last = self.tokens(images)[-1]
        return self.class_logits(last, self.head(last.patches))

    def class_logits(self, last: Tokens, activations: Tensor) -> Tensor:
        """See `PatchCamMethod.class_logits`; here the mean of both logits."""
        return (token_logits(last) + self.patch_logits(activations)) / 2
