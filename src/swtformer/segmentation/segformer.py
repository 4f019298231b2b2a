"""SegFormer's decoder of segmentation-models-pytorch, with its linear layers in another order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from torch import Tensor

from swtformer.functional.views import resized


class EarlyFusionDecoder(SegformerDecoder):  # type: ignore[misc]
    """The same parameters and, up to rounding, the same output for a fraction of the work.

    The decoder projects each stage to 256 channels, resizes all to stride 4, concatenates them, and fuses the
    1,024 channels by a 1×1 convolution. All of that is linear, and a 1×1 convolution of a resized map is the
    resized convolution of the map; so each stage is taken to its share of the result on its own grid, by the
    product of both matrices, and the shares are resized and added.
    """

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See `SegformerDecoder.forward`."""
        size = [side // 4 for side in features[0].shape[2:]]
        stages = list(features[2:] if features[1].shape[1] == 0 else features[1:])[::-1]
        convolution, norm, activation = self.fuse_stage
        parts = convolution.weight[:, :, 0, 0].chunk(len(self.mlp_stage), dim=1)
        total = None
        for stage, projection, part in zip(stages, self.mlp_stage, parts, strict=False):
            with torch.autocast(stage.device.type, enabled=False):
                weight, bias = part @ projection.linear.weight, part @ projection.linear.bias
            share = F.conv2d(stage, weight[:, :, None, None], bias)
            share = resized(share, size)
            total = share if total is None else total + share
        fused: Tensor = activation(norm(total))
        return fused
