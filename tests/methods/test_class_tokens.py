"""MCTformer V1, V2 and Plus against loops that are written from their papers and code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.class_tokens_by_hand import (
    NAMES,
    PUBLISHED,
    VIEW,
    localized_by_hand,
    minmax,
    model_of,
    patch_cam,
    seen,
    soft_margin,
)
from support.models import CLASSES
from swtformer.errors import SettingsError, SwtformerError
from swtformer.methods import Batch, create_model
from swtformer.settings import ModelSettings


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
