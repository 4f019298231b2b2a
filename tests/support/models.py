"""Small networks for tests."""

from __future__ import annotations

import torch

from swtformer.methods import Method, create_model
from swtformer.settings import ModelSettings

CLASSES = ("cat", "dog", "cow")


def tiny(method: str = "swtformer_v2", **settings: object) -> Method:
    """A small untrained network with fixed weights."""
    torch.manual_seed(0)
    values = {"method": method, "backbone": "swin_nano", "weights": "none", "drop_path": 0.0, **settings}
    return create_model(ModelSettings.model_validate(values), CLASSES).eval()
