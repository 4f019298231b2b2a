"""The Lightning module of segmentation networks: losses on masks, mIoU against held-out masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from swtformer.engine.module import FittedModule
from swtformer.functional.pixel_losses import dice_loss, pixel_cross_entropy, presence_loss
from swtformer.functional.scores import ConfusionMatrix, mean_iou
from swtformer.segmentation import SegmentationNetwork
from swtformer.settings import SegmentSettings


class SegmentationModule(FittedModule):
    """Trains a segmentation network on batches of {"image", "mask", "present", "confidence"}.

    Args:
        network: the network to train.
        settings: losses and optimisation.
        seed: of everything random.
        class_weights: (C+1,) weights of the labels in the cross-entropy; None for 1.
    """

    section = "segment"
    loss_names = ("cross_entropy", "dice", "presence")
    validation_names = ("validation_miou",)
    monitored = "validation_miou"
    monitored_name = "mIoU"
    model: SegmentationNetwork

    def __init__(
        self,
        network: SegmentationNetwork,
        settings: SegmentSettings,
        *,
        seed: int,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(network, settings, seed=seed)
        self.settings = settings
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._confusion = ConfusionMatrix(len(network.classes) + 1)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Cross-entropy plus the weighted dice loss and the loss of the image-level head.

        Raises:
            NonFiniteError: the loss is nan or infinite.
        """
        logits, presence = self.model.parts(batch["image"])
        image_weights = batch["confidence"] if self.settings.weighting == "confidence" else None
        losses = {
            "cross_entropy": pixel_cross_entropy(
                logits, batch["mask"], class_weights=self.class_weights, image_weights=image_weights
            )
        }
        if self.settings.dice > 0:
            losses["dice"] = dice_loss(logits, batch["mask"])
        if presence is not None:
            losses["presence"] = presence_loss(presence, batch["mask"], batch["present"])
        return self.total(losses, {"dice": self.settings.dice, "presence": self.settings.presence})

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count the pixels of a validation batch."""
        predicted = self.model(batch["image"]).argmax(1).to(torch.uint8)
        self._confusion.update(predicted.cpu(), batch["mask"].cpu())

    def on_validation_epoch_end(self) -> None:
        """Mean IoU over the labels that occur, of the images of all processes; 0 if no pixel is known."""
        counts = self._confusion.counts
        if self.trainer.world_size > 1:
            counts = self.all_gather(counts.to(self.device)).sum(0).cpu()
        self._confusion = ConfusionMatrix(len(counts))
        self.validation = {self.monitored: float(mean_iou(counts).nan_to_num(0.0))}
        self.log(self.monitored, self.validation[self.monitored], rank_zero_only=False, sync_dist=False)
