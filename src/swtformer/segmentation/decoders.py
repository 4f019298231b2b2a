"""Decoders of segmentation-models-pytorch: from feature maps to one map at stride 4."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal

from torch import nn

from swtformer.segmentation.library import require_smp

DecoderName = Literal["upernet", "segformer", "deeplabv3plus", "fpn"]

DEPTH = 5
"""Number of feature maps after the image itself: strides 2, 4, 8, 16 and 32."""
WIDTH = 256
"""Channels of the decoders."""


SMP = "segmentation_models_pytorch.decoders"

DECODERS: dict[DecoderName, tuple[str, dict[str, Any]]] = {
    "upernet": (f"{SMP}.upernet.decoder:UPerNetDecoder", {"decoder_channels": WIDTH}),
    "segformer": ("swtformer.segmentation.segformer:EarlyFusionDecoder", {"segmentation_channels": WIDTH}),
    "deeplabv3plus": (
        f"{SMP}.deeplabv3.decoder:DeepLabV3PlusDecoder",
        {
            "out_channels": WIDTH,
            "atrous_rates": (12, 24, 36),
            "output_stride": 16,
            "aspp_separable": True,
            "aspp_dropout": 0.5,
        },
    ),
    "fpn": (f"{SMP}.fpn.decoder:FPNDecoder", {"pyramid_channels": WIDTH}),
}
"""Class and options of each decoder."""

FIXED_STRIDES: dict[DecoderName, dict[int, int]] = {"deeplabv3plus": {-1: 16}, "fpn": {-2: 16, -1: 32}}
"""Strides that a decoder takes for granted, by position of the map; the others resize what they get."""


def create_decoder(name: DecoderName, channels: Sequence[int]) -> tuple[nn.Module, int]:
    """A decoder with random weights, and the number of channels of its map.

    UPerNet (arXiv:1807.10221), SegFormer (arXiv:2105.15203), DeepLabV3+ (arXiv:1802.02611) and the panoptic
    FPN (arXiv:1901.02446).

    Args:
        name: of the decoder.
        channels: channels of the encoder's maps, starting with the image's 3.

    Raises:
        SwtformerError: segmentation-models-pytorch is not installed.
    """
    smp = require_smp().__name__
    place, options = DECODERS[name]
    module, _, kind = place.partition(":")
    build = getattr(import_module(module), kind)
    decoder: nn.Module = build(encoder_channels=list(channels), encoder_depth=DEPTH, **options)
    import_module(f"{smp}.base.initialization").initialize_decoder(decoder)
    return decoder, int(getattr(decoder, "out_channels", WIDTH))  # FPN's map is narrower
