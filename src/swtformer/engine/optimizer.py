"""The optimiser over groups of parameters, and the learning-rate schedules (METHOD 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

MOMENTUM = 0.9
POLY_POWER = 0.9


def create_optimizer(
    groups: Mapping[str, Sequence[nn.Parameter]],
    *,
    learning_rate: float,
    multipliers: Mapping[str, float],
    weight_decay: float,
    undecayed: Iterable[nn.Parameter] = (),
    kind: Literal["adamw", "sgd"] = "adamw",
) -> Optimizer:
    """An optimiser with a learning rate for each group.

    Frozen parameters are left out. Biases and norms (all tensors of one dimension) are not decayed.

    Args:
        groups: parameters by the name of their group.
        learning_rate: that of groups without a multiplier.
        multipliers: learning rates relative to it, by group.
        weight_decay: of the parameters that are decayed.
        undecayed: parameters of more dimensions that are not decayed either.
        kind: AdamW (in one kernel on a CPU; elsewhere torch chooses), or stochastic gradient descent with a
            momentum of 0.9.

    Returns:
        One over up to two groups for each of `groups`, named such as "head/decay" and "head/plain".
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
    if kind == "sgd":
        return SGD(list(parts.values()), momentum=MOMENTUM)
    on_cpu = all(item.device.type == "cpu" for part in parts.values() for item in part["params"])
    optimizer = AdamW(list(parts.values()), fused=True if on_cpu else None)
    # Lightning clips no gradients of an optimiser that could unscale them; on a CPU they are never scaled.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def warmup_and_decay(
    steps: int, *, warmup_fraction: float, floor: float, decay: Literal["cosine", "poly"] = "cosine"
) -> Callable[[int], float]:
    """Factor on all learning rates at each step: it rises linearly to 1, then falls to `floor`.

    Args:
        steps: optimiser steps of the whole training.
        warmup_fraction: part of them over which it rises.
        floor: in [0, 1].
        decay: as a cosine, or as (1 − progress)^0.9 (Chen et al., DeepLab, doi:10.1109/TPAMI.2017.2699184).
    """
    warmup = math.ceil(steps * warmup_fraction)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        falling = (
            (1 + math.cos(math.pi * progress)) / 2 if decay == "cosine" else (1 - progress) ** POLY_POWER
        )
        return floor + (1 - floor) * falling

    return factor
