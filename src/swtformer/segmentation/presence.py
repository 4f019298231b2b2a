"""Which classes an image shows: the image-level head on the encoder, and what it does to pixels."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.functional.activation import class_logits

PresencePooling = Literal["none", "gmp"]
"""How the head pools; none is no head."""
POOLING: PresencePooling = "gmp"
"""How the head of a new network pools."""


class PresenceHead(nn.Module):
    """A 1×1 convolution on the encoder's deepest map and the maximum of each class over it.

    The maximum finds an object whatever part of the image it fills, in a training crop and in a photograph.

    Args:
        width: channels of the map.
        classes: number of classes C.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.scores = nn.Conv2d(width, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the classes' presence.

        Args:
            features: (B, width, h, w), the encoder's deepest map.

        Returns:
            (B, C) logits, float32.
        """
        return class_logits(self.scores(features).float(), pooling="gmp")


def gated(logits: Tensor, presence: Tensor) -> Tensor:
    """Logits whose softmax is the softmax of `logits` times each class's presence, scaled to sum 1 again.

    The background is always present.

    Args:
        logits: (B, C+1, H, W), background first.
        presence: (B, C) logits.

    Returns:
        (B, C+1, H, W) float32.
    """
    factors = F.pad(F.logsigmoid(presence.float()), (1, 0))
    return logits.float() + factors[:, :, None, None]
