"""The Lightning module: losses, optimiser, validation mAP."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from swtformer.engine.module import FittedModule
from swtformer.functional.scores import (
    average_precision_per_class,
    average_precision_per_image,
    mean_average_precision,
)
from swtformer.methods import Method
from swtformer.settings import Settings


class TrainingModule(FittedModule):
    """Trains a method on batches of {"image", "valid", "present"}.

    Args:
        model: the method to train.
        settings: all settings; the loss and train sections are used.
    """

    section = "train"
    loss_names = ("cls", "gsc", "ccl")
    validation_names = ("validation_map_per_class", "validation_map_per_image")
    monitored = "validation_map_per_class"
    monitored_name = "mAP"
    model: Method

    def __init__(self, model: Method, settings: Settings) -> None:
        super().__init__(model, settings.train, seed=settings.seed)
        self.settings = settings
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        freeze(model, settings.train.freeze_stages)

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
        return self.total(losses, weights)

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the losses at a (fractional) epoch; GSC and CCL rise over `ramp_epochs`."""
        loss = self.settings.loss
        ramp = min(epoch / loss.ramp_epochs, 1.0) if loss.ramp_epochs > 0 else 1.0
        return {"cls": loss.cls, "gsc": loss.gsc * ramp, "ccl": loss.ccl * ramp}

    def learning_rate_multipliers(self) -> dict[str, float]:
        """As for every module, and a multiplier of its own for the fusion."""
        return super().learning_rate_multipliers() | {"fusion": self.settings.train.fusion_multiplier}

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collect the class scores of a validation batch."""
        logits = self.model.encode(batch["image"]).logits
        self._scores.append(logits.float().cpu())
        self._labels.append(batch["present"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Mean average precision, per class and per image, of the images of all processes.

        Where it is undefined nothing is logged, so that no epoch is chosen by it.
        """
        scores, labels = self._of_all_processes(self._scores), self._of_all_processes(self._labels)
        self._scores, self._labels = [], []
        self.validation = {
            "validation_map_per_class": mean_average_precision(average_precision_per_class(scores, labels)),
            "validation_map_per_image": mean_average_precision(average_precision_per_image(scores, labels)),
        }
        for name, value in self.validation.items():
            if math.isfinite(value):
                self.log(name, value, rank_zero_only=False, sync_dist=False)

    def _of_all_processes(self, own: list[Tensor]) -> Tensor:
        """What all processes collected, in the order of the set; `evaluation_loader` dealt it out."""
        rows = torch.cat(own)
        if self.trainer.world_size == 1:
            return rows
        images = len(self.trainer.val_dataloaders.dataset)
        gathered: Tensor = self.all_gather(rows.to(self.device))  # (processes, rows, C)
        return gathered.transpose(0, 1).flatten(0, 1)[:images].cpu()


def freeze(model: Method, stages: int) -> None:
    """Take the first `stages` backbone stages (the stem is part of the first) out of training."""
    for modules in model.backbone.stage_modules()[:stages]:
        for module in modules:
            module.requires_grad_(False)
