"""AdamW groups and the learning-rate schedule (METHOD 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import AdamW

from swtformer.settings import OptimisationSettings

UNDECAYED = ("relative_position_bias_table",)
"""Matrices that are no weights of a product and so are not decayed."""


def parameter_groups(model: nn.Module, settings: OptimisationSettings) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and decay.

    The module `backbone` has the plain learning rate; every other one at the top of the model is new.
    Biases, norms (all tensors of one dimension) and relative-position tables are not decayed.

    Returns:
        Groups of AdamW with `params`, `lr`, `weight_decay` and a `name` such as "head/decay".
    """
    new = settings.learning_rate * settings.head_multiplier
    multipliers: dict[str, float] = getattr(model, "rate_multipliers", lambda: {"backbone": 1.0})()
    rates = {name: settings.learning_rate * factor for name, factor in multipliers.items()}
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part = name.split(".", 1)[0]
        decays = parameter.ndim > 1 and not name.endswith(UNDECAYED)
        key = f"{part}/{'decay' if decays else 'plain'}"
        group = groups.setdefault(
            key,
            {
                "params": [],
                "lr": rates.get(part, new),
                "weight_decay": settings.weight_decay if decays else 0.0,
                "name": key,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def create_optimizer(model: nn.Module, settings: OptimisationSettings) -> AdamW:
    """AdamW over `parameter_groups`."""
    return AdamW(parameter_groups(model, settings))


def learning_rate_factor(settings: OptimisationSettings, steps: int) -> Callable[[int], float]:
    """Factor on every group's learning rate at a step: linear warm-up, then a cosine to the minimum.

    Args:
        settings: warm-up fraction, learning rate and its minimum.
        steps: optimiser steps of the whole training.
    """
    warmup = math.ceil(steps * settings.warmup_fraction)
    floor = min(settings.minimum_learning_rate / settings.learning_rate, 1.0)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return factor
