"""Refiners: (images, maps) → maps that follow the images' edges. One module per method.

To add a refiner: a module with a `Refiner` child, a line in `REFINERS`, its name in `RefineSettings.method`;
the contract tests run over every one that is there.
"""

from __future__ import annotations

import torch

from swtformer.refiners.base import Example, FitStates, LearnedRefiner, Refiner, padded, unpadded
from swtformer.refiners.dense_crf import DenseCRF
from swtformer.refiners.irn import IRN
from swtformer.refiners.par import PixelAdaptiveRefinement
from swtformer.refiners.psa import PSA
from swtformer.settings import RefineSettings

__all__ = [
    "REFINERS",
    "Example",
    "FitStates",
    "LearnedRefiner",
    "Refiner",
    "create_refiner",
    "padded",
    "unpadded",
]

REFINERS: dict[str, type[Refiner]] = {
    kind.name: kind for kind in (PixelAdaptiveRefinement, DenseCRF, PSA, IRN)
}
"""Every refiner by the name that settings give it."""


def create_refiner(settings: RefineSettings, *, device: torch.device | str = "cpu") -> Refiner:
    """Build the refiner that the settings name; a `LearnedRefiner` must be fitted or loaded before use.

    Args:
        settings: the refine section.
        device: where to compute.

    Raises:
        SwtformerError: it needs an optional library that is not installed.
    """
    return REFINERS[settings.method](settings, device=device)
