"""MCTformer V1, V2 and Plus against loops that are written from their papers and code.

The loops take tokens and attention from the backbone, which tests/backbones/test_attentive_vit.py checks, and
know nothing of the package's own functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError, SwtformerError
from swtformer.methods import Batch, create_model
from swtformer.settings import LocalizeSettings, ModelSettings

NAMES = ["mctformer_v1", "mctformer_v2", "mctformer_plus"]
VIEW = LocalizeSettings(scales=(1.0,), flip=False, stride=16)


def model_of(name: str, **options: object) -> Any:
    """A network whose attention and class tokens are far from even."""
    model = tiny(name, **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for block in model.backbone.model.blocks:
            block.attn.qkv.weight.normal_(std=0.4, generator=generator)
        model.backbone.model.cls_token.normal_(generator=generator)
        if hasattr(model, "head"):
            model.head.weight.normal_(std=0.2, generator=generator)
    return model


def seen(model: Any, images: torch.Tensor) -> tuple[list[Any], list[np.ndarray]]:
    """Tokens and attention (B, heads, T, T) of all layers."""
    with torch.no_grad():
        layers = list(model.backbone.attended(model.normalisation(images)))
    return [tokens for tokens, _ in layers], [attention.numpy() for _, attention in layers]


def patch_cam(model: Any, tokens: Any) -> np.ndarray:
    with torch.no_grad():
        return F.conv2d(tokens[-1].patches, model.head.weight, model.head.bias, padding=1).numpy()


def localized_by_hand(
    model: Any, images: torch.Tensor, *, layers: int, fusion: str, affinity: bool = True
) -> np.ndarray:
    """(B, C, h, w) maps of one view before they are scaled."""
    tokens, attentions = seen(model, images)
    height, width = tokens[-1].patches.shape[-2:]
    count = len(CLASSES)
    made = np.zeros((len(images), count, height, width))
    for image in range(len(images)):
        means = [attention[image].mean(0) for attention in attentions]
        for label in range(count):
            attention = sum(mean[label, count:] for mean in means[-layers:])
            if fusion == "class_attention":
                values = attention
            else:
                cam = np.maximum(patch_cam(model, tokens)[image, label].ravel(), 0)
                values = {"product": attention * cam, "geometric": np.sqrt(attention * cam)}.get(fusion, cam)
            if affinity:
                between = sum(mean[count:, count:] for mean in means)
                values = np.array([between[patch] @ values for patch in range(len(values))])
            made[image, label] = values.reshape(height, width)
    return made


def minmax(maps: np.ndarray) -> np.ndarray:
    """The constant is that of the code, for maps of any size; ours must not be seen in theirs."""
    lowest, highest = maps.min((2, 3), keepdims=True), maps.max((2, 3), keepdims=True)
    return (maps - lowest) / (highest - lowest + 1e-8)


PUBLISHED = {
    "mctformer_v1": {"layers": 3, "fusion": "class_attention"},
    "mctformer_v2": {"layers": 3, "fusion": "product"},
    "mctformer_plus": {"layers": 12, "fusion": "geometric"},
}


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_one_view(name: str, images: torch.Tensor) -> None:
    model, everything = model_of(name), torch.ones(2, 3)
    made = model.maps(images, everything, settings=VIEW).cam
    expected = minmax(localized_by_hand(model, images, **PUBLISHED[name]))
    np.testing.assert_allclose(made, expected, atol=1e-3)
    for other in ({"layers": 1}, {"affinity": False}):
        changed = minmax(localized_by_hand(model, images, **{**PUBLISHED[name], **other}))
        assert np.abs(changed - expected).max() > 0.02, f"these images show {other}"


@pytest.mark.parametrize("name", NAMES)
def test_mirror_images_and_scales_are_summed_before_they_are_scaled(
    name: str, images: torch.Tensor, present: torch.Tensor
) -> None:
    model = model_of(name)
    total = np.zeros((2, 3, 4, 6))
    for size in ((64, 96), (128, 192)):
        view = F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True)
        for is_mirrored in (False, True):
            maps = localized_by_hand(model, view.flip(-1) if is_mirrored else view, **PUBLISHED[name])
            maps = maps[..., ::-1].copy() if is_mirrored else maps
            total += F.interpolate(torch.from_numpy(maps), (4, 6), mode="bilinear").numpy()
    settings = VIEW.model_copy(update={"scales": (1.0, 2.0), "flip": True})
    made = model.maps(images, present, settings=settings).cam
    expected = minmax(total) * present.numpy()[:, :, None, None]
    np.testing.assert_allclose(made, expected, atol=1e-3)


@pytest.mark.parametrize("fusion", ["product", "geometric", "class_attention", "patch_cam"])
def test_readings_of_the_fusion(fusion: str, images: torch.Tensor) -> None:
    model = model_of("mctformer_v2", fusion=fusion, affinity="off", attention_layers=2)
    expected = localized_by_hand(model, images, layers=2, fusion=fusion, affinity=False)
    made = model.maps(images, torch.ones(2, 3), settings=VIEW).cam
    np.testing.assert_allclose(made, minmax(expected), atol=1e-3)


def test_maps_can_be_scaled_by_their_maximum(images: torch.Tensor) -> None:
    model = model_of("mctformer_v1", norm="max")
    expected = localized_by_hand(model, images, layers=3, fusion="class_attention")
    made = model.maps(images, torch.ones(2, 3), settings=VIEW).cam
    np.testing.assert_allclose(made, expected / expected.max((2, 3), keepdims=True), atol=1e-3)


def soft_margin(logits: np.ndarray, present: torch.Tensor) -> float:
    labels = present.numpy()
    chances = 1 / (1 + np.exp(-logits))
    return float(-(labels * np.log(chances) + (1 - labels) * np.log(1 - chances)).mean())


@pytest.mark.parametrize("name", NAMES)
def test_losses(name: str, images: torch.Tensor, present: torch.Tensor) -> None:
    """Class tokens by the mean of their channels; patches by the mean, or by falling ranks in Plus."""
    model = model_of(name)
    losses = {key: value.item() for key, value in model.losses(Batch(images, present), epoch=0.0).items()}
    tokens, _ = seen(model, images)
    logits = tokens[-1].classes.numpy().mean(-1)
    assert losses.pop("cls") == pytest.approx(soft_margin(logits, present), abs=1e-5)
    if name != "mctformer_v1":
        cam = patch_cam(model, tokens).reshape(2, 3, -1)
        ranks = 0.996 ** np.arange(cam.shape[-1])
        falling = (np.sort(cam)[..., ::-1] * ranks).sum(-1) / ranks.sum()
        pooled = cam.mean(-1) if name == "mctformer_v2" else falling
        assert losses.pop("patch_cls") == pytest.approx(soft_margin(pooled, present), abs=1e-5)
        own = logits if name == "mctformer_v2" else (logits + falling) / 2
        np.testing.assert_allclose(model.logits(images).detach(), own, atol=1e-5)
    else:
        np.testing.assert_allclose(model.logits(images).detach(), logits, atol=1e-5)
    if name == "mctformer_plus":
        costs = []
        for image, labels in enumerate(present.numpy()):
            for label in np.flatnonzero(labels):
                for layer in tokens:
                    unit = F.normalize(layer.classes[image], dim=-1).numpy()
                    cosines = unit @ unit[label]
                    cost = np.log(np.exp(cosines).sum()) - cosines[label]
                    costs.append(cost / len(tokens) / labels.sum())
        assert losses.pop("contrast") == pytest.approx(sum(costs) / 2, abs=1e-5)
    assert losses == {}


def test_probabilities_of_maps_are_those_of_the_logits(images: torch.Tensor, present: torch.Tensor) -> None:
    for name in NAMES:
        model = model_of(name)
        made = model.maps(images, present, settings=VIEW)
        torch.testing.assert_close(made.probabilities, model.logits(images).detach().sigmoid())


def test_layers_of_the_contrast(images: torch.Tensor, present: torch.Tensor) -> None:
    batch = Batch(images, present)
    last, every = (model_of("mctformer_plus", contrast_layers=layers) for layers in (1, 4))
    assert last.losses(batch, epoch=0.0)["contrast"] != every.losses(batch, epoch=0.0)["contrast"]
    without = model_of("mctformer_plus", contrast=0)
    assert set(without.losses(batch, epoch=0.0)) == {"cls", "patch_cls"}
    assert without.loss_weights(0) == {"cls": 1, "patch_cls": 1, "contrast": 0}


def test_the_head_learns_as_fast_as_the_rest() -> None:
    model = tiny("mctformer_v2")
    assert model.learning_rate_multipliers() == {"head": 1}
    assert {id(item) for item in model.parameter_groups()["head"]} == {
        id(item) for item in model.head.parameters()
    }
    assert tiny("mctformer_v1").parameter_groups()["head"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["swin_tiny", "resnet18"])
def test_a_backbone_of_another_kind_is_refused(name: str, backbone: str) -> None:
    message = f"'{name}' takes a plain vision transformer.*deit_small_patch16_224, not '{backbone}'"
    with pytest.raises(SettingsError, match=message):
        create_model(ModelSettings(method=name, backbone=backbone, weights="none"), CLASSES)


def test_a_transformer_without_reported_attention_is_refused() -> None:
    settings = ModelSettings(method="mctformer_v1", backbone="eva02_tiny_patch14_224", weights="none")
    with pytest.raises(SwtformerError, match="'eva02_tiny_patch14_224' has attention of a kind"):
        create_model(settings, CLASSES)
