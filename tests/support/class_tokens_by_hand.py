"""Maps and losses of methods with class tokens, in loops.

The loops take tokens and attention from the backbone, which tests/backbones/test_attentive_vit.py checks, and
know nothing of the package's own functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from support.models import CLASSES, tiny
from swtformer.settings import LocalizeSettings

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


def soft_margin(logits: np.ndarray, present: torch.Tensor) -> float:
    labels = present.numpy()
    chances = 1 / (1 + np.exp(-logits))
    return float(-(labels * np.log(chances) + (1 - labels) * np.log(1 - chances)).mean())
