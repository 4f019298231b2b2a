"""The Lightning module: losses, optimiser, validation mAP."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from swtformer.errors import NonFiniteError
from swtformer.functional.scores import (
    average_precision_per_class,
    average_precision_per_image,
    mean_average_precision,
)
from swtformer.methods import Method
from swtformer.settings import Settings
from swtformer.training.optimizer import create_optimizer, freeze, learning_rate_factor


class TrainingModule(LightningModule):
    """Trains a method on batches of {"image", "valid", "present"}.

    Random numbers inside the network (stochastic depth) are drawn from a generator seeded anew at every batch
    from (seed, process, epoch, batch), so a resumed run draws the same ones as an unbroken run.

    Args:
        model: the method to train.
        settings: all settings; the loss and train sections are used.
    """

    def __init__(self, model: Method, settings: Settings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.batches_in_epoch = 1
        self.latest: dict[str, Tensor] = {}
        self.validation: dict[str, float] = {}
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        freeze(model, settings.train.freeze_stages)

    def on_fit_start(self) -> None:
        """Learn how long an epoch is."""
        self.batches_in_epoch = max(int(self.trainer.num_training_batches), 1)

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Seed this batch's random numbers."""
        key = (self.settings.seed, self.global_rank, self.current_epoch, batch_idx)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Weighted sum of the method's losses (Eq. 7).

        Raises:
            NonFiniteError: the loss is nan or infinite.
        """
        weights = self.loss_weights(self.current_epoch + batch_idx / self.batches_in_epoch)
        encoding = self.model.encode(batch["image"])
        losses = self.model.losses(
            encoding, batch["present"], settings=self.settings.loss, valid=batch["valid"][:, None]
        )
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self.latest = {"loss": total.detach(), **{name: value.detach() for name, value in losses.items()}}
        if not torch.isfinite(total):
            parts = ", ".join(f"{name} {value.item():.4g}" for name, value in self.latest.items())
            raise NonFiniteError(
                f"The loss is not finite at step {self.global_step}, epoch {self.current_epoch + 1} "
                f"({parts}). The last checkpoint is untouched; try a smaller --train.learning_rate, or "
                "--train.precision fp32."
            )
        return total

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the losses at a (fractional) epoch; GSC and CCL rise over `ramp_epochs`."""
        loss = self.settings.loss
        ramp = min(epoch / loss.ramp_epochs, 1.0) if loss.ramp_epochs > 0 else 1.0
        return {"cls": loss.cls, "gsc": loss.gsc * ramp, "ccl": loss.ccl * ramp}

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine, stepped per optimiser step."""
        optimizer = create_optimizer(self.model, self.settings.train)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, learning_rate_factor(self.settings.train, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collect the class scores of a validation batch."""
        logits = self.model.encode(batch["image"]).logits
        self._scores.append(logits.float().cpu())
        self._labels.append(batch["present"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Mean average precision, per class and per image."""
        scores, labels = torch.cat(self._scores), torch.cat(self._labels)
        self._scores, self._labels = [], []
        self.validation = {
            "validation_map_per_class": mean_average_precision(average_precision_per_class(scores, labels)),
            "validation_map_per_image": mean_average_precision(average_precision_per_image(scores, labels)),
        }
        for name, value in self.validation.items():
            self.log(name, value, rank_zero_only=False, sync_dist=False)
