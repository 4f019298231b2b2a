"""Small networks for tests."""

from __future__ import annotations

from typing import Any

import torch

from swtformer.methods import METHODS, Method, create_model
from swtformer.settings import ModelSettings

CLASSES = ("cat", "dog", "cow")

BACKBONES = {
    "attention_rollout": "vit_nano",
    "mctformer_plus": "vit_nano",
    "mctformer_v1": "vit_nano",
    "mctformer_v2": "vit_nano",
    "transcam": "conformer_nano",
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
    model = create_model(settings, CLASSES, METHODS.options(method, options))
    settle_batch_statistics(model)
    return model.eval()


@torch.no_grad()
def settle_batch_statistics(model: Method) -> None:
    """Give batch norm the statistics of noise, without which activations of untrained networks explode."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if norms:
        for norm in norms:
            norm.momentum = None  # the mean of all that it has seen
        generator = torch.Generator().manual_seed(0)
        model.train().logits(torch.rand(4, 3, 64, 64, generator=generator))
        for norm in norms:
            norm.momentum = 0.1
