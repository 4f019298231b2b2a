"""Decoders alone; test_network tests them with an encoder and a head."""

from __future__ import annotations

import sys
from typing import get_args

import pytest
import torch

from swtformer.errors import SwtformerError
from swtformer.segmentation.decoders import DecoderName, create_decoder

CHANNELS = (3, 0, 8, 16, 24, 32)
"""As of our backbones, without a map at stride 2."""


def features(name: str, height: int, width: int) -> list[torch.Tensor]:
    """Maps at strides 1 to 32; the last one at 16 if the decoder expects that."""
    strides = (1, 2, 4, 8, 16, 16 if name == "deeplabv3plus" else 32)
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, channels, height // stride, width // stride, generator=generator)
        for channels, stride in zip(CHANNELS, strides, strict=True)
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", get_args(DecoderName))
def test_one_map_at_stride_4_with_the_declared_channels(name: DecoderName) -> None:
    decoder, width = create_decoder(name, CHANNELS)
    made = decoder.eval()(features(name, 64, 96))
    assert made.shape == (1, width, 16, 24)
    assert made.isfinite().all()
    assert made.std() > 0


@torch.no_grad()
@pytest.mark.parametrize("name", get_args(DecoderName))
def test_the_map_sees_the_coarsest_and_the_finest_features(name: DecoderName) -> None:
    decoder, _ = create_decoder(name, CHANNELS)
    decoder.eval()
    given = features(name, 64, 64)
    before = decoder(given)
    for place in (2, 5):
        changed = list(given)
        changed[place] = given[place] + 1
        assert not torch.allclose(decoder(changed), before)


@pytest.mark.parametrize("name", get_args(DecoderName))
def test_weights_come_from_torch_s_generator(name: DecoderName) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(create_decoder(name, CHANNELS)[0].state_dict())
    first, same, other = states
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(SwtformerError, match="need segmentation-models-pytorch"):
        create_decoder("fpn", CHANNELS)
