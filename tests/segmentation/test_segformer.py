"""The decoder that fuses early, beside that of the library."""

from __future__ import annotations

import pytest
import torch
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

from swtformer.segmentation.segformer import EarlyFusionDecoder

CHANNELS = (3, 0, 8, 16, 24, 32)
"""As of our backbones, without a map at stride 2."""


@pytest.mark.parametrize("channels", [CHANNELS, (3, 12, 8, 16, 24, 600)])
def test_output_and_gradients_are_those_of_the_library(channels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours = EarlyFusionDecoder(list(channels), segmentation_channels=256).double().train()
    theirs = SegformerDecoder(list(channels), segmentation_channels=256).double().train()
    theirs.load_state_dict(ours.state_dict())
    given = [
        torch.randn(2, count, 64 // stride, 96 // stride, dtype=torch.float64, requires_grad=True)
        for count, stride in zip(channels, (1, 2, 4, 8, 16, 32), strict=True)
    ]
    made, expected = ours(given), theirs(given)
    torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-9)
    gradients = [
        torch.autograd.grad((result.square()).sum(), [*decoder.parameters(), *given[2:]], allow_unused=True)
        for result, decoder in ((made, ours), (expected, theirs))
    ]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_sides_that_are_no_multiples_of_32_are_taken_to_stride_4() -> None:
    """Backbones round sides up at each halving; both decoders resize to a quarter, rounded down."""
    torch.manual_seed(0)
    ours = EarlyFusionDecoder(list(CHANNELS), segmentation_channels=256).eval()
    theirs = SegformerDecoder(list(CHANNELS), segmentation_channels=256).eval()
    theirs.load_state_dict(ours.state_dict())
    sizes = ((70, 50), (35, 25), (17, 12), (9, 6), (5, 3), (3, 2))
    given = [torch.randn(1, count, *size) for count, size in zip(CHANNELS, sizes, strict=True)]
    made = ours(given)
    assert made.shape == (1, 256, 17, 12)
    torch.testing.assert_close(made, theirs(given), rtol=1e-4, atol=1e-5)
