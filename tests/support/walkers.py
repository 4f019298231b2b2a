"""PSA and IRN on tiny backbones with drawn weights."""

from __future__ import annotations

from typing import Any

import torch

from swtformer.backbones import create_backbone
from swtformer.refiners import create_refiner
from swtformer.refiners.walk import WalkRefiner

METHODS = ("psa", "irn")


def built(
    method: str, backbone: str = "swin_nano", *, drop_path: float = 0.0, **options: Any
) -> WalkRefiner:
    """A refiner with its network, the same at every call.

    Args:
        method: psa or irn.
        backbone: name of a backbone.
        drop_path: its stochastic depth.
        options: of the refiner.
    """
    torch.manual_seed(0)
    refiner = create_refiner(method, options)
    assert isinstance(refiner, WalkRefiner)
    refiner.build(create_backbone(backbone, weights="none", drop_path=drop_path))
    return refiner
