"""State from the whole training set, updated between epochs, after SC-CAM (Chang et al., CVPR 2020)."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.losses import classification_loss
from swtformer.methods import Batch, PyramidMethod, PyramidSettings, TrainingImages
from swtformer.settings import ModelSettings, Section
from swtformer.settings.numbers import Count, NonNegative

ITERATIONS = 5
"""Rounds of k-means."""


class ReClusteredSettings(PyramidSettings):
    """Options of the toy."""

    sub_classes: Count = 2
    """Clusters of each class."""
    epochs_per_round: Count = 2
    """Epochs after which the images are clustered again."""
    sub_cls: NonNegative = 0.5
    """Weight of the loss of the second head."""


@final
class ReClustered(PyramidMethod):
    """Clusters the pooled features of each class, and trains a second head on the clusters."""

    settings_type = ReClusteredSettings
    loss_names = ("cls", "sub_cls")
    options: ReClusteredSettings

    def __init__(
        self,
        backbone: Backbone,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(backbone, settings, classes, options)
        self.sub_head = nn.Linear(backbone.channels[-1], len(classes) * self.options.sub_classes)

    def before_epoch(self, epoch: int, images: TrainingImages, *, epochs: int) -> None:
        """Give every training image a sub-class of each class that it shows: (N, C, K) 0/1 pseudo-labels."""
        if epoch % self.options.epochs_per_round:
            return  # a resumed training has those of the last round in its checkpoint
        device = self.sub_head.weight.device
        pooled = [self.encode(batch.images.to(device)).pyramid[-1].mean((-2, -1)) for batch in images]
        features = torch.cat(pooled).cpu()
        labels = torch.zeros(*images.present.shape, self.options.sub_classes)
        for index in range(labels.shape[1]):
            shown = images.present[:, index].nonzero()[:, 0]
            clusters = _clusters(features[shown], self.options.sub_classes)
            labels[shown, index] = F.one_hot(clusters, self.options.sub_classes).float()
        self.training_state = {"sub_labels": labels}

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification by classes and by sub-classes."""
        assert batch.index is not None
        encoding = self.encode(batch.images)
        sub_logits = self.sub_head(encoding.pyramid[-1].mean((-2, -1))).float()
        sub_labels = self.training_state["sub_labels"][batch.index.cpu()].flatten(1).to(sub_logits.device)
        return {
            "cls": classification_loss(encoding.logits.float(), batch.present),
            "sub_cls": classification_loss(sub_logits, sub_labels),
        }

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """Weights of the settings."""
        return {"cls": self.options.cls, "sub_cls": self.options.sub_cls}


def _clusters(features: Tensor, count: int) -> Tensor:
    """Cluster of each of (n, D) features by k-means from random centres; n may be smaller than `count`."""
    centres = features[torch.randperm(len(features))[:count]]
    nearest = torch.zeros(len(features), dtype=torch.long)
    for _ in range(ITERATIONS if len(features) else 0):
        nearest = torch.cdist(features, centres).argmin(1)
        members = F.one_hot(nearest, len(centres)).float()
        means = members.mT @ features / members.sum(0)[:, None].clamp_min(1)
        centres = torch.where(members.any(0)[:, None], means, centres)
    return nearest
