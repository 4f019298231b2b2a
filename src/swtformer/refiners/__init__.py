"""Refiners: (images, maps) → maps that follow the images' edges.

To add one: a file with a `Refiner` child that registers itself, and its test. The contract tests in
tests/refiners run over every refiner that is registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from swtformer.refiners.base import Example, FitStates, LearnedRefiner, Refiner, padded, unpadded
from swtformer.settings import REFINERS, Section

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


def create_refiner(
    name: str,
    options: Section | Mapping[str, Any] | None = None,
    *,
    source: Literal["cam", "rcam"] = "cam",
    device: torch.device | str = "cpu",
) -> Refiner:
    """Build a refiner; a `LearnedRefiner` must be fitted or loaded before use.

    Args:
        name: of the refiner.
        options: its own options, the defaults where None.
        source: what the maps that it will be given are.
        device: where to compute.

    Raises:
        SettingsError: there is no such refiner or option.
        SwtformerError: it needs an optional library that is not installed.
    """
    if not isinstance(options, Section):
        options = REFINERS.options(name, options or {})
    refiner: Refiner = REFINERS[name](options, source=source, device=device)
    return refiner
