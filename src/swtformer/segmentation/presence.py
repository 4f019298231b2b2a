"""Which classes an image shows: the image-level head on the encoder, and what it does to pixels."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.functional.activation import class_logits

Pooling = Literal["gap", "gmp", "gwrp"]
"""How the head makes one score of a class's map, as the heads of classifiers do."""


class PresenceHead(nn.Module):
    """A classifier's head: a convolution on the encoder's deepest map, and each class pooled over it.

    Args:
        width: channels of the map.
        classes: number of classes C.
        kernel: side of the convolution.
        pooling: see `class_logits`.
    """

    def __init__(
        self, width: int, classes: int, *, kernel: Literal[1, 3] = 1, pooling: Pooling = "gap"
    ) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.scores = nn.Conv2d(width, classes, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the classes' presence.

        Args:
            features: (B, width, h, w), the encoder's deepest map.

        Returns:
            (B, C) logits, float32.
        """
        return class_logits(self.scores(features).float(), pooling=self.pooling)


def gated(logits: Tensor, presence: Tensor, *, strength: float = 1.0) -> Tensor:
    """Hold back classes that the image does not show; the background is always there.

    The softmax of the result is that of `logits` times the probability of each class's presence to the power
    `strength`, scaled to sum 1 again.

    Args:
        logits: (B, C+1, H, W), background first.
        presence: (B, C) logits.
        strength: 0 for not at all.

    Returns:
        (B, C+1, H, W) float32.
    """
    factors = strength * F.pad(F.logsigmoid(presence.float()), (1, 0))
    return logits.float() + factors[:, :, None, None]
