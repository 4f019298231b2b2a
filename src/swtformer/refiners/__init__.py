"""Refiners: (images, maps) → maps that follow the images' edges.

To add one: a file with a `Refiner` subclass that registers itself, and its test. The contract tests in
tests/refiners run over every refiner that is registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from swtformer.refiners.base import Refiner, padded, unpadded
from swtformer.refiners.learned import Example, Examples, FitSettings, LearnedRefiner
from swtformer.settings import REFINERS, Section
from swtformer.store.notes import Made

__all__ = [
    "REFINERS",
    "Example",
    "Examples",
    "FitSettings",
    "LearnedRefiner",
    "Refiner",
    "create_refiner",
    "padded",
    "unpadded",
]


def create_refiner(
    name: str,
    options: Section | Mapping[str, Any] | None = None,
    *,
    source: Made = "cam",
    device: torch.device | str = "cpu",
) -> Refiner:
    """Build a refiner; a `LearnedRefiner` must be fitted or loaded before use.

    Args:
        name: of the refiner.
        options: its own options; None for the defaults.
        source: kind of maps that it will be given: CAMs or R-CAMs.
        device: where to compute.

    Raises:
        SettingsError: an unknown refiner or option.
        SwtformerError: an optional library is missing.
    """
    refiner: Refiner = REFINERS[name](REFINERS.options(name, options), source=source, device=device)
    return refiner
