"""The image-level head, and its effect on the logits of pixels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.presence import PresenceHead, gated
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import SegmentSettings


@pytest.fixture
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return create_network(SegmentSettings(), CLASSES, start=tiny("swtformer_v1")).eval()


def test_logits_are_means_over_the_map() -> None:
    head = PresenceHead(2, 3, kernel=1, pooling="gap")
    with torch.no_grad():
        head.scores.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[:, :, None, None])
        head.scores.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
    features = torch.zeros(1, 2, 3, 4)
    features[0, 0, 2, 3] = 6
    features[0, 1] = -2
    torch.testing.assert_close(head(features), torch.tensor([[0.5, -2.0, -2.5]]))


@pytest.mark.parametrize(
    ("pooling", "kernel", "bias"), [("gap", 1, True), ("gmp", 3, True), ("gwrp", 1, True), ("gap", 1, False)]
)
def test_it_starts_as_the_run_s_classifier(pooling: str, kernel: int, bias: bool, tmp_path: Path) -> None:
    start = tiny("swtformer_v1", pooling=pooling, kernel=kernel, bias=bias).eval()
    network = create_network(SegmentSettings(), CLASSES, start=start).eval()
    images = torch.rand(2, 3, 64, 96)
    assert (network.settings.presence, network.settings.presence_kernel) == (pooling, kernel)
    with torch.no_grad():
        seen = network.parts(images).presence
        torch.testing.assert_close(seen, start.encode(images).logits)
        assert torch.equal(load_network(network.write(tmp_path)).parts(images).presence, seen)


def test_on_another_encoder_it_is_new() -> None:
    settings = SegmentSettings(encoder="resnet18", weights="none")
    network = create_network(settings, CLASSES, start=tiny("swtformer_v1", kernel=3, pooling="gmp"))
    assert (network.settings.presence, network.settings.presence_kernel) == ("gap", 1)


def test_a_run_of_other_classes_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"has the classes .*the network \('other',\)"):
        create_network(SegmentSettings(), ("other",), start=tiny("swtformer_v1"))


def test_gating_scales_probabilities_by_hand() -> None:
    # Probabilities 1/2, 1/4, 1/4; presence 1/4 and 1: 1/2, 1/16, 1/4 over their sum 13/16.
    logits = torch.tensor([2.0, 1.0, 1.0]).log()[None, :, None, None]
    presence = torch.tensor([[-math.log(3), 40.0]])
    shares = gated(logits, presence).softmax(1).flatten()
    assert shares.tolist() == pytest.approx([8 / 13, 1 / 13, 4 / 13])
    # The power 1/2 of presence: 1/2, 1/8, 1/4 over 7/8.
    shares = gated(logits, presence, strength=0.5).softmax(1).flatten()
    assert shares.tolist() == pytest.approx([4 / 7, 1 / 7, 2 / 7])
    assert torch.equal(gated(logits, presence, strength=0), logits)


def test_gating_in_half_precision_stays_finite() -> None:
    logits = gated(
        torch.zeros(1, 2, 1, 1, dtype=torch.bfloat16), torch.tensor([[-1e4]], dtype=torch.bfloat16)
    )
    assert logits.dtype == torch.float32
    assert logits.flatten().tolist() == pytest.approx([0, -1e4], rel=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("absent", range(len(CLASSES)))
def test_an_absent_class_wins_no_pixel(absent: int, network: SegmentationNetwork) -> None:
    images = torch.rand(2, 3, 64, 64)
    assert network.presence is not None
    assert network.head.bias is not None
    network.head.bias[1 + absent] = 50  # it would win every pixel
    assert (network.parts(images).pixels.argmax(1) == 1 + absent).all()
    bias = network.presence.scores.bias
    assert bias is not None
    bias[absent] = -100
    assert not (network(images).argmax(1) == 1 + absent).any()
    assert (network(images, 0).argmax(1) == 1 + absent).all()
    bias[:] = 100
    torch.testing.assert_close(network(images), network.parts(images).pixels)


@torch.no_grad()
def test_without_the_head_pixels_stand_alone() -> None:
    network = create_network(SegmentSettings(presence=0), CLASSES, start=tiny("swtformer_v1")).eval()
    images = torch.rand(1, 3, 32, 32)
    assert network.settings.presence == "none"
    assert network.parts(images).presence is None
    assert torch.equal(network(images), network.parts(images).pixels)
    assert not any(name.startswith("presence") for name in network.state_dict())
