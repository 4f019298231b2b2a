"""What every fitted module shares: seeding, the total loss, optimiser and schedule."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from swtformer.engine.optimizer import create_optimizer, warmup_and_decay
from swtformer.errors import NonFiniteError, PluginError
from swtformer.settings import OptimisationSettings

UNDECAYED = ("relative_position_bias_table", "pos_embed", "cls_token", "dist_token")
"""Ends of the names of parameters that are added or start a sequence rather than multiply features: no weight
decay, as in timm."""


class FittedModule(LightningModule, ABC):
    """A network and how it is fitted; subclasses add losses and validation.

    Random numbers inside the network (stochastic depth) come from a generator that is seeded at every batch
    from (seed, process, epoch, batch), so a resumed run draws the same ones as an uninterrupted run.

    Attributes:
        section: name of the stage in progress reports, and of the settings that messages point to.
        trained: what is trained, in words, for messages.
        loss_names: losses that `training_step` may compute; columns of metrics.csv.
        validation_names: scores that validation may compute; columns of metrics.csv.
        monitored: the validation score that chooses the best epoch; higher is better.
        monitored_name: its name in the progress line.
        latest: losses of the last batch; "loss" is their weighted sum.
        validation: scores of the last validation.
        batches_in_epoch: number of batches per epoch, known once the fit has started.
    """

    section: str
    trained: str = "The network"
    loss_names: tuple[str, ...]
    validation_names: tuple[str, ...]
    monitored: str
    monitored_name: str

    def __init__(self, model: nn.Module, options: OptimisationSettings, *, seed: int) -> None:
        """Hold a network.

        Args:
            model: the network.
            options: how it is optimised.
            seed: of everything random.
        """
        super().__init__()
        self.model = model
        self.options = options
        self.seed = seed
        self.batches_in_epoch = 1
        self.latest: dict[str, Tensor] = {}
        self.validation: dict[str, float] = {}

    @property
    def prefix(self) -> str:
        """What the names of `options` begin with in messages."""
        return f"{self.section}."

    def on_fit_start(self) -> None:
        """Find out how long an epoch is."""
        self.batches_in_epoch = max(int(self.trainer.num_training_batches), 1)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed this batch's random numbers."""
        self.seed_random_numbers(self.global_rank, self.current_epoch, batch_idx)

    def seed_random_numbers(self, *key: int) -> None:
        """Seed torch's generator by the training's seed and a key."""
        state = np.random.SeedSequence((self.seed, *key)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0] >> 1))

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float] | None = None) -> Tensor:
        """Weighted sum of losses; it and they are kept in `latest`.

        Args:
            losses: scalars by name; all names are in `loss_names`, which may hold more.
            weights: by name; 1 for losses that are not in it.

        Raises:
            PluginError: they are not scalars by names of `loss_names`.
            NonFiniteError: the sum is nan or infinite.
        """
        if not isinstance(losses, Mapping):
            raise PluginError(
                f"{self.trained}: losses gave {type(losses).__name__}; expected scalars by name."
            )
        for name, value in losses.items():
            if name not in self.loss_names:
                raise PluginError(
                    f"{self.trained}: the loss {name!r} is not among its loss_names {list(self.loss_names)}; "
                    "add it there."
                )
            if not isinstance(value, Tensor) or value.ndim:
                what = f"has shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"is {value!r:.40}"
                raise PluginError(f"{self.trained}: the loss {name!r} {what}; expected a scalar tensor.")
        factors = {} if weights is None else weights
        total = torch.stack([factors.get(name, 1.0) * value for name, value in losses.items()]).sum()
        self.latest = {"loss": total.detach(), **{name: value.detach() for name, value in losses.items()}}
        if not torch.isfinite(total):
            parts = ", ".join(f"{name} {value.item():.4g}" for name, value in self.latest.items())
            raise NonFiniteError(
                f"The loss is not finite at step {self.global_step}, epoch {self.current_epoch + 1} "
                f"({parts}). The last checkpoint is untouched; try a smaller {self.prefix}learning_rate, "
                f"or {self.prefix}precision fp32."
            )
        return total

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters of the network, by the group that shares a learning rate: one for each of its parts.

        Networks whose groups are not their direct children override this.
        """
        return {name: list(part.parameters()) for name, part in self.model.named_children()}

    def learning_rate_multipliers(self) -> dict[str, float]:
        """Learning rates by group, relative to `options.learning_rate`.

        The group "backbone" has the plain rate; all others are new and have `head_multiplier`.
        """
        return {name: self.options.head_multiplier for name in self.parameter_groups() if name != "backbone"}

    def has_idle_parameters(self) -> bool:
        """Whether a step may leave trainable parameters without a gradient; several processes must know."""
        return True

    def create_optimizer(self) -> Optimizer:
        """The optimiser of the settings over `parameter_groups`; override it for another.

        Raises:
            ValueError: a trainable parameter of the network is in none of the groups.
        """
        groups = self.parameter_groups()
        grouped = {id(parameter) for parameters in groups.values() for parameter in parameters}
        names = dict(self.model.named_parameters())
        missing = [name for name, item in names.items() if item.requires_grad and id(item) not in grouped]
        if missing:
            raise ValueError(
                f"{len(missing)} parameters of {type(self.model).__name__} are in no group of "
                f"parameter_groups() and would not be trained: {', '.join(missing[:3])}."
            )
        return create_optimizer(
            groups,
            learning_rate=self.options.learning_rate,
            multipliers=self.learning_rate_multipliers(),
            weight_decay=self.options.weight_decay,
            undecayed=[item for name, item in names.items() if name.endswith(UNDECAYED)],
            kind=self.options.optimizer,
        )

    def learning_rate_factor(self, steps: int) -> Callable[[int], float]:
        """Factor on all learning rates at each step; override it for another schedule.

        Args:
            steps: optimiser steps of the whole training.
        """
        options = self.options
        return warmup_and_decay(
            steps,
            warmup_fraction=options.warmup_fraction,
            floor=min(options.minimum_learning_rate / options.learning_rate, 1.0),
            decay=options.schedule,
        )

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule per optimiser step."""
        optimizer = self.create_optimizer()
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, self.learning_rate_factor(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
