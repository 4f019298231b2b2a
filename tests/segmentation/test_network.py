"""Contract of every decoder on one of our backbones and one encoder of segmentation-models-pytorch."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError, SwtformerError
from swtformer.methods import create_model
from swtformer.publishing.decompositions import exact_bilinear
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.decoders import DecoderName
from swtformer.segmentation.network import require_encoder
from swtformer.settings import ModelSettings, SegmentSettings

ENCODERS = ("run", "mobilenet_v2")


def build(decoder: str, encoder: str) -> SegmentationNetwork:
    torch.manual_seed(0)
    settings = SegmentSettings.model_validate({"decoder": decoder, "encoder": encoder, "weights": "none"})
    return create_network(settings, CLASSES, start=tiny("swtformer_v1") if encoder == "run" else None)


@pytest.fixture(scope="module", params=get_args(DecoderName))
def decoder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=ENCODERS)
def network(decoder: str, request: pytest.FixtureRequest) -> SegmentationNetwork:
    return build(decoder, request.param)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (37, 70), (64, 96)])
def test_logits_have_the_size_of_the_image(network: SegmentationNetwork, size: tuple[int, int]) -> None:
    network.eval()
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    logits = network(images)
    assert logits.shape == (1, len(CLASSES) + 1, *size)
    assert logits.isfinite().all()
    torch.testing.assert_close(network(images.float() / 255), logits)


@torch.no_grad()
def test_resizing_does_not_round_positions() -> None:
    network = build("segformer", "run").eval()
    seen: list[torch.Tensor] = []
    network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.rand(1, 3, 229, 317)
    network(images)
    wanted = exact_bilinear(network.normalisation(images).double(), (224, 320)).float()
    torch.testing.assert_close(seen[0], wanted, atol=1e-6, rtol=0)  # 6e-5 in float32


def test_every_part_learns(network: SegmentationNetwork) -> None:
    network.train()
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    for part in (network.backbone, network.decoder, network.head, network.presence):
        assert part is not None
        gradients = [p.grad for p in part.parameters() if p.requires_grad]
        assert gradients
        assert sum(g is not None and bool(g.abs().sum() > 0) for g in gradients) > 0.9 * len(gradients)
    network.zero_grad()


@torch.no_grad()
def test_images_of_a_batch_are_independent(network: SegmentationNetwork) -> None:
    network.eval()
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(network(images)[1:], network(images[1:]), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_logits_lie_where_the_image_changes(network: SegmentationNetwork) -> None:
    """What changes in a corner of the image changes the logits there most."""
    network.eval()
    images = torch.full((1, 3, 128, 128), 0.5)
    changed = images.clone()
    changed[..., :32, 96:] = torch.rand(3, 32, 32)
    gap = (network(changed) - network(images)).abs().mean((0, 1))
    assert gap[:64, 64:].mean() > 1.2 * gap[64:, :64].mean()


def test_the_runs_backbone_comes_with_its_weights_and_its_batch_statistics() -> None:
    model = ModelSettings(method="swtformer_v1", backbone="resnet10t", weights="none")
    start = create_model(model, CLASSES)
    before = {name: value.clone() for name, value in start.backbone.state_dict().items()}
    settings = SegmentSettings(decoder="segformer")
    network = create_network(settings, CLASSES, start=start)
    network(torch.rand(2, 3, 64, 64))
    after = network.backbone.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert network.settings.encoder == "resnet10t"
    assert network.settings.family == "backbone"


def test_an_encoder_without_trained_weights_learns_its_batch_statistics() -> None:
    network = build("segformer", "mobilenet_v2")
    before = network.backbone.state_dict()["model.features.0.1.running_mean"].clone()
    network(torch.rand(2, 3, 64, 64))
    assert not torch.equal(before, network.backbone.state_dict()["model.features.0.1.running_mean"])


def test_an_encoder_can_be_checked_before_training(tmp_path: Path) -> None:
    require_encoder(SegmentSettings())  # the run's own needs no check
    require_encoder(SegmentSettings(encoder="mobilenet_v2"))
    require_encoder(SegmentSettings(encoder="mobilenetv2_100"))
    with pytest.raises(SettingsError, match="takes only some image sizes"):
        require_encoder(SegmentSettings(encoder="tu-coatnet_pico_rw_224"))
    with pytest.raises(SwtformerError, match="Unknown encoder 'mobilenet_v22'"):
        require_encoder(SegmentSettings(encoder="mobilenet_v22"))
    with pytest.raises(SwtformerError, match=r"none\.safetensors"):
        require_encoder(SegmentSettings(encoder="mit_b0", weights=str(tmp_path / "none.safetensors")))


def test_missing_runs_and_classes_are_refused() -> None:
    with pytest.raises(SettingsError, match="needs a run with a trained model"):
        create_network(SegmentSettings(), CLASSES)
    with pytest.raises(SettingsError, match="needs at least one class"):
        create_network(SegmentSettings(), ())


def test_a_backbone_that_cannot_be_rebuilt_by_its_name_is_refused() -> None:
    start = tiny("swtformer_v1")
    start.backbone.name = "swin_of_my_own"
    with pytest.raises(SettingsError, match=r"'swin_of_my_own' .* cannot be rebuilt.*segment\.encoder"):
        create_network(SegmentSettings(encoder="run"), CLASSES, start=start)


def test_the_trial_of_the_backbone_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network's weights follow from its seed alone."""
    network = build("segformer", "run")
    monkeypatch.setattr("swtformer.segmentation.network.create_backbone", lambda *_, **__: None)
    untried = build("segformer", "run").state_dict()
    assert all(value.equal(untried[name]) for name, value in network.state_dict().items())


def test_without_background_no_pixel_is_background() -> None:
    settings = SegmentSettings(encoder="lcnet_035", decoder="segformer", weights="none")
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    labels = []
    for background in (True, False):
        torch.manual_seed(0)
        network = create_network(settings, CLASSES, background=background).eval()
        with torch.no_grad():
            assert network.head.bias is not None
            network.head.bias[0] = 100.0  # background everywhere, but for the setting
            labels.append(network(images).argmax(1))
    assert not labels[0].any()
    assert labels[1].all()


@torch.no_grad()
@pytest.mark.parametrize(
    ("backbone", "output_stride"), [("resnet10t", 16), ("resnet10t", 8), ("resnet38d_nano", 8)]
)
def test_every_decoder_takes_the_maps_of_a_dilated_backbone(
    decoder: str, backbone: str, output_stride: int, tmp_path: Path
) -> None:
    model = ModelSettings(
        method="swtformer_v1",
        backbone=backbone,
        weights="none",
        output_stride=output_stride,
        dilated=output_stride == 16,
    )
    start = create_model(model, CLASSES)
    settings = SegmentSettings.model_validate({"decoder": decoder, "encoder": "run"})
    network = create_network(settings, CLASSES, start=start).eval()
    assert network.settings.output_stride == output_stride
    assert network.settings.dilated == start.backbone.dilated
    images = torch.rand(1, 3, 70, 100)
    network.save_pretrained(tmp_path)
    loaded = SegmentationNetwork.from_pretrained(tmp_path)
    assert loaded.reusable_features().strides == start.backbone.strides
    assert torch.equal(loaded(images), network(images))
    assert network(images).shape == (1, len(CLASSES) + 1, 70, 100)
