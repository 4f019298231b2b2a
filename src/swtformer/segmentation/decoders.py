"""Decoders of segmentation-models-pytorch: from feature maps to one map at stride 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from swtformer.segmentation.library import require_smp

DecoderName = Literal["upernet", "segformer", "deeplabv3plus", "fpn"]

DEPTH = 5
"""Number of feature maps after the image itself: strides 2, 4, 8, 16 and 32."""
WIDTH = 256
"""Channels of the decoders."""


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
    require_smp()
    from segmentation_models_pytorch.base.initialization import initialize_decoder

    decoder, width = _decoder(name, list(channels))
    initialize_decoder(decoder)
    return decoder, width


def _decoder(name: DecoderName, channels: list[int]) -> tuple[nn.Module, int]:
    decoder: nn.Module
    if name == "upernet":
        from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

        decoder = UPerNetDecoder(encoder_channels=channels, encoder_depth=DEPTH, decoder_channels=WIDTH)
        return decoder, WIDTH
    if name == "segformer":
        from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

        decoder = SegformerDecoder(
            encoder_channels=channels, encoder_depth=DEPTH, segmentation_channels=WIDTH
        )
        return decoder, WIDTH
    if name == "deeplabv3plus":
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

        decoder = DeepLabV3PlusDecoder(
            encoder_channels=channels,
            encoder_depth=DEPTH,
            out_channels=WIDTH,
            atrous_rates=(12, 24, 36),
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=0.5,
        )
        return decoder, WIDTH
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    fpn = FPNDecoder(encoder_channels=channels, encoder_depth=DEPTH, pyramid_channels=WIDTH)
    return fpn, int(fpn.out_channels)
