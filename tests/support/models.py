"""Small networks for tests."""

from __future__ import annotations

from typing import Any

import torch

from swtformer.methods import METHODS, create_model
from swtformer.settings import ModelSettings

CLASSES = ("cat", "dog", "cow")

BACKBONES = {
    "attention_rollout": "vit_nano",
    "mctformer_plus": "vit_nano",
    "mctformer_v1": "vit_nano",
    "mctformer_v2": "vit_nano",
}
"""Small backbones of methods that do not take `swin_nano`."""


def backbone_of(method: str) -> str:
    """The small backbone that a method is tested with."""
    return BACKBONES.get(method, "swin_nano")


def tiny(method: str = "swtformer_v2", **options: object) -> Any:
    """A small untrained network with fixed weights.

    Args:
        method: name of the method.
        options: its own options.
    """
    torch.manual_seed(0)
    settings = ModelSettings(method=method, backbone=backbone_of(method), weights="none", drop_path=0.0)
    return create_model(settings, CLASSES, METHODS.options(method, options)).eval()
