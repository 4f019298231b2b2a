"""The Lightning module: losses, optimiser, validation mAP."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from swtformer.engine.module import FittedModule
from swtformer.functional.scores import (
    average_precision,
    mean_average_precision,
)
from swtformer.methods import Batch, Method, TrainingImages
from swtformer.settings import Settings

TRAINING_STATE = "training_state"
"""Key of a checkpoint."""


class TrainingModule(FittedModule):
    """Trains a method on batches of {"image", "valid", "present", "index"}.

    Args:
        model: the method to train.
        settings: seed and the train section are used.
        images: the training set, as the method sees it before each epoch.
    """

    section = "train"
    validation_names = ("validation_map_per_class", "validation_map_per_image")
    monitored = "validation_map_per_class"
    monitored_name = "mAP"
    model: Method

    def __init__(self, model: Method, settings: Settings, images: TrainingImages | None = None) -> None:
        super().__init__(model, settings.train, seed=settings.seed)
        self.images = images
        self.trained = f"The method {model.name!r} ({type(model).__module__}.{type(model).__qualname__})"
        self.loss_names = model.loss_names
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []
        model.freeze(settings.train.freeze_stages)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The method's."""
        return self.model.parameter_groups()

    def learning_rate_multipliers(self) -> dict[str, float]:
        """The method's, where it names a group; else those of every training."""
        return super().learning_rate_multipliers() | self.model.learning_rate_multipliers()

    def has_idle_parameters(self) -> bool:
        """See `Method.has_idle_parameters`."""
        return self.model.has_idle_parameters()

    def on_train_epoch_start(self) -> None:
        """Let the method update what depends on the whole training set."""
        if self.images is not None:
            self.seed_random_numbers(self.current_epoch)
            self.model.eval()
            with torch.no_grad():
                self.model.before_epoch(self.current_epoch, self.images, epochs=self.options.epochs)
            self.model.train()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the method's training state."""
        checkpoint[TRAINING_STATE] = self.model.training_state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the method's training state."""
        self.model.training_state = checkpoint[TRAINING_STATE]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Weighted sum of the method's losses (Eq. 7).

        Raises:
            NonFiniteError: the loss is nan or infinite.
        """
        epoch = self.current_epoch + batch_idx / self.batches_in_epoch
        crops = Batch(batch["image"], batch["present"], batch["valid"][:, None], batch.get("index"))
        return self.total(self.model.losses(crops, epoch=epoch), self.model.loss_weights(epoch))

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Collect the class scores of a validation batch."""
        logits = self.model.logits(batch["image"])
        self._scores.append(logits.float().cpu())
        self._labels.append(batch["present"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Mean average precision, per class and per image, of the images of all processes.

        Where it is undefined nothing is logged, so that no epoch is chosen by it.
        """
        scores, labels = self._of_all_processes(self._scores), self._of_all_processes(self._labels)
        self._scores, self._labels = [], []
        self.validation = {
            "validation_map_per_class": mean_average_precision(average_precision(scores, labels)),
            "validation_map_per_image": mean_average_precision(average_precision(scores.T, labels.T)),
        }
        for name, value in self.validation.items():
            if math.isfinite(value):
                self.log(name, value, rank_zero_only=False, sync_dist=False)

    def _of_all_processes(self, own: list[Tensor]) -> Tensor:
        """What all processes collected, in the order of the set; `ordered_batches` dealt it out."""
        rows = torch.cat(own)
        if self.trainer.world_size == 1:
            return rows
        images = len(self.trainer.val_dataloaders.dataset)
        gathered: Tensor = self.all_gather(rows.to(self.device))  # (processes, rows, C)
        return gathered.transpose(0, 1).flatten(0, 1)[:images].cpu()
