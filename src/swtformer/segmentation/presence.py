"""The image-level head on the encoder, which says what classes an image shows, and its effect on pixels."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.functional.activation import class_logits

Pooling = Literal["gap", "gmp", "gwrp"]
"""How a class's map is pooled to a score, see `class_logits`."""


class PresenceHead(nn.Module):
    """A convolution on the encoder's last map, pooled to one score per class.

    Args:
        width: channels of the map.
        classes: number of classes C.
        kernel: side of the convolution.
        pooling: see `class_logits`.
    """

    def __init__(self, width: int, classes: int, *, kernel: Literal[1, 3], pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling
        self.scores = nn.Conv2d(width, classes, kernel, padding=kernel // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the classes' presence.

        Args:
            features: (B, width, h, w), the encoder's last map.

        Returns:
            (B, C) logits, float32.
        """
        return class_logits(self.scores(features).float(), pooling=self.pooling)


def gated(logits: Tensor, presence: Tensor, *, strength: float = 1.0) -> Tensor:
    """Suppress classes that the image does not show; the background is always present.

    The softmax of the result is that of `logits` times the probability of each class's presence to the power
    `strength`, renormalised to sum 1.

    Args:
        logits: (B, C+1, H, W), background first.
        presence: (B, C) logits.
        strength: 0 changes nothing.

    Returns:
        (B, C+1, H, W) float32.
    """
    factors = strength * F.pad(F.logsigmoid(presence.float()), (1, 0))
    return logits.float() + factors[:, :, None, None]
