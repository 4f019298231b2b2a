"""TransCAM against loops that are written from its paper and code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError
from swtformer.methods import Batch, Method, create_model
from swtformer.methods.transcam import TransCAM, fused
from swtformer.settings import LocalizeSettings, ModelSettings

FUSIONS = ("tokens", "transposed", "class", "none")


def fused_by_hand(activations: np.ndarray, attention: np.ndarray, fusion: str) -> np.ndarray:
    """(C, h, w) activations and (1 + h·w, 1 + h·w) attention, place by place."""
    flat = activations.reshape(len(activations), -1)
    made = np.zeros_like(flat)
    for i in range(flat.shape[1]):
        if fusion == "tokens":
            for j in range(flat.shape[1]):
                made[:, i] += attention[1 + i, 1 + j] * flat[:, j]
        elif fusion == "transposed":
            for j in range(flat.shape[1]):
                made[:, i] += attention[1 + j, 1 + i] * flat[:, j]
        elif fusion == "class":
            made[:, i] = attention[0, 1 + i] * flat[:, i]
        else:
            made[:, i] = flat[:, i]
    return made.reshape(activations.shape)


def transcam(**options: object) -> Any:
    """A network whose attention is far from uniform."""
    model = tiny("transcam", **options)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "attn.qkv.weight" in name:
                value.mul_(8)
    return model


@pytest.mark.parametrize("fusion", FUSIONS)
def test_fusion_of_a_grid_that_is_no_square(fusion: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    activations = torch.randn(2, 3, 2, 3, generator=generator)
    attention = torch.rand(2, 7, 7, generator=generator)
    made = fused(activations, attention, fusion=fusion)
    for index in range(2):
        expected = fused_by_hand(activations[index].numpy(), attention[index].numpy(), fusion)
        np.testing.assert_allclose(made[index], expected, rtol=1e-5, atol=1e-6)


def test_fusion_by_numbers() -> None:
    """The first place attends to itself by 0.5 and to the second by 0.25, the second to the first by 1."""
    attention = torch.tensor([[[0.0, 0.2, 0.8], [0.25, 0.5, 0.25], [0.0, 1.0, 0.0]]])
    activations = torch.tensor([[[[4.0, -8.0]]]])
    expected = {"tokens": [0.0, 4.0], "transposed": [-6.0, 1.0], "class": [0.8, -6.4], "none": [4.0, -8.0]}
    for fusion, values in expected.items():
        made = fused(activations, attention, fusion=fusion)  # type: ignore[arg-type]
        torch.testing.assert_close(made, torch.tensor([[[values]]]))


def activations_by_hand(model: Any, images: torch.Tensor, fusion: str, blocks: range) -> np.ndarray:
    """Fused activations of images in [0, 1], attention summed over blocks."""
    seen = model.backbone.branches(model.normalisation(images), attended=blocks)
    raw = F.conv2d(seen.pyramid[3], model.head.weight, model.head.bias, padding=1)
    total = sum(matrix.detach().numpy() for matrix in seen.attention)
    return np.stack(
        [fused_by_hand(raw[index].detach().numpy(), total[index], fusion) for index in range(len(images))]
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_maps_of_a_view_and_its_mirror_image(
    fusion: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    """At a stride of 16 nothing is resized: signed sums, positive part, minimum to 0 and maximum to 1."""
    model = transcam(fusion=fusion)
    settings = LocalizeSettings(scales=(1.0,), flip=True, stride=16)
    made = model.maps(images, present, settings=settings)
    floats = images.float() / 255
    total = activations_by_hand(model, floats, fusion, range(1, 7))
    total = total + activations_by_hand(model, floats.flip(-1), fusion, range(1, 7))[..., ::-1]
    total = np.maximum(total, 0)
    least, most = total.min((2, 3), keepdims=True), total.max((2, 3), keepdims=True)
    expected = (total - least) / (most - least + 1e-5) * present.numpy()[:, :, None, None]
    assert made.cam.shape == (2, 3, 4, 6)
    assert expected.max() > 0.9
    np.testing.assert_allclose(made.cam, expected, atol=1e-4)


@torch.no_grad()
def test_layers_choose_the_blocks_that_are_summed(images: torch.Tensor) -> None:
    floats = images.float() / 255
    for layers, blocks in ((None, range(1, 7)), ((2, 4), range(2, 5)), ((6, 6), range(6, 7))):
        model = transcam(layers=layers)
        made = model.activations(model.see(images, attends=True))
        expected = activations_by_hand(model, floats, "tokens", blocks)
        np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_logits_are_the_sum_of_both_branches(images: torch.Tensor) -> None:
    model = transcam()
    seen = model.backbone.branches(model.normalisation(images))
    raw = F.conv2d(seen.pyramid[3], model.head.weight, model.head.bias, padding=1).numpy()
    of_token = seen.tokens[:, 0].numpy() @ model.token_head.weight.numpy().T + model.token_head.bias.numpy()
    np.testing.assert_allclose(model.logits(images), raw.mean((2, 3)) + of_token, rtol=1e-4, atol=1e-5)


def test_the_loss_is_that_of_the_summed_logits(images: torch.Tensor, present: torch.Tensor) -> None:
    model = transcam()
    with torch.no_grad():
        logits = model.logits(images).numpy().astype(np.float64)
    chance = 1 / (1 + np.exp(-logits))
    labels = present.numpy()
    expected = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance)).mean()
    loss = model.losses(Batch(images, present), epoch=0.0)["cls"]
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_attention_is_not_computed_in_training(images: torch.Tensor, present: torch.Tensor) -> None:
    model = transcam()
    assert model.see(images, attends=False).branches.attention == ()
    assert len(model.see(images, attends=True).branches.attention) == 6


@pytest.mark.parametrize("output_stride", [32, 16])
def test_maps_lie_on_the_grid_of_the_tokens(output_stride: int) -> None:
    settings = ModelSettings(
        method="transcam", backbone="conformer_nano", weights="none", output_stride=output_stride
    )
    backbone = create_model(settings, CLASSES).reusable_features()
    assert backbone is not None
    assert backbone.strides == (4, 8, 16, 16)


def test_other_backbones_are_refused() -> None:
    settings = ModelSettings(method="transcam", weights="none")
    message = (
        r"'transcam' takes a Conformer, such as model\.backbone conformer_small, not 'swin_tiny_patch4_window"
    )
    with pytest.raises(SettingsError, match=message):
        create_model(settings, CLASSES)


def test_layers_behind_the_last_one_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"layers 2,7: .*'conformer_nano' has blocks 1 to 6"):
        tiny("transcam", layers=(2, 7))


def test_batch_norm_learns_its_statistics_unless_they_are_kept(tmp_path: Any) -> None:
    torch.save(dict(tiny("transcam").backbone.state_dict()), tmp_path / "nano.pth")
    settings = ModelSettings(
        method="transcam", backbone="conformer_nano", weights=str(tmp_path / "nano.pth"), bands=3
    )
    for choice, learns in (("learned", True), ("kept", False)):
        model = create_model(settings, CLASSES, {"batch_statistics": choice}).train()
        assert isinstance(model, TransCAM)
        assert model.backbone.bn1.training == learns
        model.keep_batch_statistics(True)
        assert model.backbone.bn1.training == learns


def test_a_segmentation_network_starts_from_the_cnn_branch(tmp_path: Any) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    from swtformer.segmentation import SegmentationNetwork, create_network
    from swtformer.settings import SegmentSettings

    start: Method = tiny("transcam")
    network = create_network(SegmentSettings(encoder="run"), CLASSES, start=start).eval()
    assert (network.settings.encoder, network.settings.output_stride) == ("conformer_nano", 16)
    network.save_pretrained(tmp_path)
    images = torch.rand(1, 3, 70, 90)
    loaded = SegmentationNetwork.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))
