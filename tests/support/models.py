"""Small networks for tests."""

from __future__ import annotations

from typing import Any

import torch

from swtformer.methods import METHODS, create_model
from swtformer.settings import ModelSettings

CLASSES = ("cat", "dog", "cow")


def tiny(method: str = "swtformer_v2", **options: object) -> Any:
    """A small untrained network with fixed weights.

    Args:
        method: name of the method.
        options: its own options.
    """
    torch.manual_seed(0)
    settings = ModelSettings(method=method, backbone="swin_nano", weights="none", drop_path=0.0)
    return create_model(settings, CLASSES, METHODS.options(method, options)).eval()
