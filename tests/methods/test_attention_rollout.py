"""Attention roll-out against products written out, on attention that hooks see in timm's own layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import SettingsError
from swtformer.methods import create_model
from swtformer.settings import LocalizeSettings, ModelSettings

VIEW = LocalizeSettings(scales=(1.0,), flip=False, stride=16)


def model_of(**options: object) -> Any:
    """A network whose attention is far from even, and whose class logits differ."""
    model = tiny("attention_rollout", **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        model.head.weight.normal_(generator=generator)
        for block in model.backbone.model.blocks:
            block.attn.qkv.weight.normal_(std=0.4, generator=generator)
    return model


def watched(model: Any, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits and attention (B, heads, T, T), with gradients, of timm's own forward pass."""
    attentions: list[torch.Tensor] = []
    hooks = []
    for block in model.backbone.model.blocks:
        block.attn.fused_attn = False
        hook = block.attn.attn_drop.register_forward_pre_hook(lambda _, given: attentions.append(given[0]))
        hooks.append(hook)
    logits = model.logits(images)
    for hook in hooks:
        hook.remove()
    return logits, attentions


def on_patches(row: np.ndarray) -> np.ndarray:
    return (row[1:] / row[1:].max()).reshape(4, 6)


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize("discard", [0.0, 0.8])
def test_attention_is_rolled_out(heads: str, discard: float, images: torch.Tensor) -> None:
    model = model_of(heads=heads, discard=discard)
    _, attentions = watched(model, images)
    made = model.maps(images, torch.ones(2, 3), settings=VIEW).cam
    for image in range(2):
        product = np.eye(25)
        for attention in attentions:
            fused = getattr(np, heads)(attention[image].detach().numpy(), axis=0)
            weakest = np.argsort(fused, axis=None)[: int(fused.size * discard)]
            fused.ravel()[weakest[weakest != 0]] = 0
            mixed = (fused + np.eye(25)) / 2
            product = (mixed / mixed.sum(1, keepdims=True)) @ product
        for label in range(3):
            np.testing.assert_allclose(made[image, label], on_patches(product[0]), atol=1e-4)


def test_relevance_is_that_of_each_class(images: torch.Tensor) -> None:
    model = model_of(rollout="gradient")
    logits, attentions = watched(model, images)
    made = model.maps(images, torch.ones(2, 3), settings=VIEW)
    for label in range(3):
        gradients = torch.autograd.grad(logits[:, label].sum(), attentions, retain_graph=True)
        for image in range(2):
            relevance = np.eye(25)
            for attention, gradient in zip(attentions, gradients, strict=True):
                product = (attention[image] * gradient[image]).detach().numpy()
                relevance = relevance + np.maximum(product, 0).mean(0) @ relevance
            np.testing.assert_allclose(made.cam[image, label], on_patches(relevance[0]), atol=1e-4)
    assert (made.cam[:, 0] - made.cam[:, 1]).abs().max() > 0.1, "maps differ between classes"
    torch.testing.assert_close(made.probabilities, logits.detach().sigmoid())


def test_views_count_alike(images: torch.Tensor, present: torch.Tensor) -> None:
    """A view's map is divided by its maximum, turned back and added."""
    for rollout in ("attention", "gradient"):
        model = model_of(rollout=rollout)
        plain, mirrored = (model.maps(each, present, settings=VIEW).cam for each in (images, images.flip(-1)))
        both = plain + mirrored.flip(-1)
        made = model.maps(images, present, settings=VIEW.model_copy(update={"flip": True})).cam
        torch.testing.assert_close(
            made, both / both.amax((2, 3), keepdim=True).clamp_min(1e-9), atol=1e-4, rtol=0
        )


def test_gradients_need_neither_trained_weights_nor_gradients_of_the_caller(
    images: torch.Tensor, present: torch.Tensor
) -> None:
    model = model_of(rollout="gradient")
    expected = model.maps(images, present, settings=VIEW).cam
    model.requires_grad_(False)
    with torch.inference_mode():
        made = model.maps(images, present, settings=VIEW).cam
    assert expected.any()
    torch.testing.assert_close(made, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model.maps(images, present, settings=VIEW).cam, expected)


def test_maps_can_be_scaled_by_minimum_and_maximum(images: torch.Tensor) -> None:
    plain = model_of().maps(images, torch.ones(2, 3), settings=VIEW).cam
    made = model_of(norm="minmax").maps(images, torch.ones(2, 3), settings=VIEW).cam
    lowest = plain.amin((2, 3), keepdim=True)
    expected = (plain - lowest) / (plain.amax((2, 3), keepdim=True) - lowest)
    torch.testing.assert_close(made, expected, atol=1e-3, rtol=0)


def test_a_backbone_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"'attention_rollout' takes a plain .*, not 'swin_nano'"):
        create_model(ModelSettings(method="attention_rollout", backbone="swin_nano", weights="none"), CLASSES)
