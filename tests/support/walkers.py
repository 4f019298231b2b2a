"""Learned refiners on tiny backbones with drawn weights, and their fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from swtformer.backbones import create_backbone
from swtformer.refiners import Examples, LearnedRefiner, create_refiner
from swtformer.refiners.walk import WalkRefiner
from swtformer.training.refiner import fit_refiner

METHODS = ("psa", "irn")


def built(method: str, backbone: str = "swin_nano", *, drop_path: float = 0.0, **options: Any) -> WalkRefiner:
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


def fitted(
    refiner: LearnedRefiner, examples: Examples, folder: Path, *, seed: int = 0, **options: Any
) -> dict[str, torch.Tensor]:
    """Fit a built refiner; its weights."""
    fit_refiner(refiner, examples, folder=folder, seed=seed, **options)
    return refiner.network.state_dict()
