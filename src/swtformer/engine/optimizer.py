"""AdamW over groups of parameters, and the learning-rate schedule (METHOD 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import AdamW


def create_optimizer(
    groups: Mapping[str, Sequence[nn.Parameter]],
    *,
    learning_rate: float,
    multipliers: Mapping[str, float],
    weight_decay: float,
    undecayed: Iterable[nn.Parameter] = (),
) -> AdamW:
    """AdamW with a learning rate for each group.

    Frozen parameters are left out. Biases and norms (all tensors of one dimension) are not decayed.

    Args:
        groups: parameters by the name of their group.
        learning_rate: that of groups without a multiplier.
        multipliers: learning rates relative to it, by group.
        weight_decay: of the parameters that are decayed.
        undecayed: parameters of more dimensions that are not decayed either.

    Returns:
        AdamW over up to two groups for each of `groups`, named such as "head/decay" and "head/plain".
    """
    spared = {id(parameter) for parameter in undecayed}
    parts: dict[str, dict[str, Any]] = {}
    for group, parameters in groups.items():
        for parameter in parameters:
            if not parameter.requires_grad:
                continue
            decays = parameter.ndim > 1 and id(parameter) not in spared
            name = f"{group}/{'decay' if decays else 'plain'}"
            rate = learning_rate * multipliers.get(group, 1.0)
            decay = weight_decay if decays else 0.0
            part = parts.setdefault(name, {"params": [], "lr": rate, "weight_decay": decay, "name": name})
            part["params"].append(parameter)
    return AdamW(list(parts.values()))


def warmup_and_cosine(steps: int, *, warmup_fraction: float, floor: float) -> Callable[[int], float]:
    """Factor on all learning rates at each step: it rises linearly to 1, then falls as a cosine to `floor`.

    Args:
        steps: optimiser steps of the whole training.
        warmup_fraction: part of them over which it rises.
        floor: in [0, 1].
    """
    warmup = math.ceil(steps * warmup_fraction)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return factor
