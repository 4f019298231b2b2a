"""What every Lightning module here shares: seeding, optimiser, schedule, and the stop at nan."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from swtformer.engine.optimizer import create_optimizer, learning_rate_factor
from swtformer.errors import NonFiniteError
from swtformer.settings import OptimisationSettings


class FittedModule(LightningModule, ABC):
    """A network and how it is fitted; subclasses give the losses and the validation.

    Random numbers inside the network (stochastic depth) are drawn from a generator seeded anew at every batch
    from (seed, process, epoch, batch), so a resumed run draws the same ones as an unbroken run.

    Attributes:
        section: name of the settings that messages point to ("train" for --train.learning_rate).
        monitored: name in `validation` of the score that decides which epoch was the best; higher is better.
        monitored_name: what the progress calls it.
        latest: losses of the last batch, "loss" their weighted sum.
        validation: scores of the last validation.
        batches_in_epoch: how long an epoch is.
    """

    section: str
    monitored: str
    monitored_name: str

    def __init__(self, model: nn.Module, options: OptimisationSettings, *, seed: int) -> None:
        """Hold a network.

        Args:
            model: the network; its top-level modules are the groups of learning rates.
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

    def on_fit_start(self) -> None:
        """Learn how long an epoch is."""
        self.batches_in_epoch = max(int(self.trainer.num_training_batches), 1)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed this batch's random numbers."""
        key = (self.seed, self.global_rank, self.current_epoch, batch_idx)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """Weighted sum of losses, noted in `latest`.

        Raises:
            NonFiniteError: it is nan or infinite.
        """
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self.latest = {"loss": total.detach(), **{name: value.detach() for name, value in losses.items()}}
        if not torch.isfinite(total):
            parts = ", ".join(f"{name} {value.item():.4g}" for name, value in self.latest.items())
            raise NonFiniteError(
                f"The loss is not finite at step {self.global_step}, epoch {self.current_epoch + 1} "
                f"({parts}). The last checkpoint is untouched; try a smaller --{self.section}.learning_rate, "
                f"or --{self.section}.precision fp32."
            )
        return total

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine, stepped per optimiser step."""
        optimizer = create_optimizer(self.model, self.options)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, learning_rate_factor(self.options, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
