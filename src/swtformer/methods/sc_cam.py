"""SC-CAM: a second head that tells sub-categories apart, which are clusters of the images of a class.

Chang, Wang, Hung, Piramuthu, Tsai and Yang, Weakly-supervised Semantic Segmentation via Sub-category
Exploration, CVPR 2020, doi:10.1109/CVPR42600.2020.00901. A classifier that must tell sub-categories apart
cannot look only at the one part that all images of a class share. Round 0 trains the class head alone. Each
round after it pools the features of every training image, clusters those of each class by k-means, and trains
on both labels with L = L_cls + 5 L_sub, both the multi-label soft-margin loss. The maps come from the class
head.

Where paper and public code differ, this follows the code: half of the last features are dropped before both
heads in training. What differs from both:

- The rounds are parts of one training, and the network continues from round to round; only the sub-category
  head starts again, as numbers of other clusters mean nothing to it. Their script trains a network from
  ImageNet weights for 61 epochs in each round and takes it as it was at epoch 30, 40 or 50; only the clusters
  pass from one to the next. Its round 0 is the CAM network that PSA published.
- A class with fewer images than clusters has a sub-category for each; their code stops there.
- Images are clustered at one long side (`long_side_px`), theirs at their own size, which is 500 px in VOC.
"""

from __future__ import annotations

from typing import Annotated, final

import torch
from pydantic import Field
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.activation import class_logits
from swtformer.functional.clusters import k_means
from swtformer.functional.losses import classification_loss
from swtformer.functional.views import SMALLEST_SIDE_PX, resized
from swtformer.methods.base import Batch, TrainingImages
from swtformer.methods.pyramid import PyramidMethod, PyramidSettings
from swtformer.settings import METHODS, ModelSettings, Section
from swtformer.settings.numbers import Count, NonNegative

SUB_CATEGORIES = "sub_categories"
"""Key of the training state: (N, C) the cluster of each training image in each class that it shows."""


class SCCAMSettings(PyramidSettings):
    """Options of SC-CAM; the defaults are those of its code."""

    bias: bool = False
    """Whether the heads have a bias."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Part of the last stage's channels that a training step drops before the heads."""
    sub_categories: Count = 10
    """Clusters of the images of each class."""
    rounds: Count = 3
    """How often the images are clustered; the rounds have equally many epochs."""
    round_zero: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Part of the epochs before the first clustering, which train the class head alone; 0 where
    `train.start_from` names a trained classifier."""
    sub_cls: NonNegative = 5.0
    """Weight of the loss of the sub-categories."""
    long_side_px: Count = 500
    """Long side at which whole images are seen when they are clustered."""


@final
@METHODS.register("sc_cam")
class SCCAM(PyramidMethod):
    """Plain CAM whose features also learn the sub-categories that they form themselves."""

    settings_type = SCCAMSettings
    loss_names = ("cls", "sub_cls")
    options: SCCAMSettings

    def __init__(
        self,
        backbone: Backbone,
        settings: ModelSettings,
        classes: tuple[str, ...],
        options: Section | None = None,
    ) -> None:
        super().__init__(backbone, settings, classes, options)
        count = len(classes) * self.options.sub_categories
        self.sub_head = nn.Linear(backbone.channels[-1], count, bias=self.options.bias)
        self._forget_sub_categories()

    def round_starts(self, epochs: int) -> tuple[int, ...]:
        """Epochs, from 0, before which the images are clustered; a short training has fewer rounds."""
        before, rounds = self.options.round_zero, self.options.rounds
        parts = (before + (1 - before) * index / rounds for index in range(rounds))
        return tuple(int(part * epochs + 1e-9) for part in parts)

    def before_epoch(self, epoch: int, images: TrainingImages, *, epochs: int) -> None:
        """Cluster the images of each class where a round starts; see `Method.before_epoch`."""
        if epoch in self.round_starts(epochs):
            self._forget_sub_categories()
            self.training_state = {SUB_CATEGORIES: self.clustered(images)}

    def clustered(self, images: TrainingImages) -> Tensor:
        """(N, C) cluster of each image in each class, 0 where it does not show the class."""
        pooled = torch.zeros(len(images), self.backbone.channels[-1])
        was_read = torch.zeros(len(images), dtype=torch.bool)
        for batch in images:
            assert batch.index is not None
            index = int(batch.index)  # another than asked for, where that could not be read
            if not was_read[index]:
                pooled[index] = self.pooled(batch.images.to(self.head.weight.device))[0].cpu()
                was_read[index] = True
        nearest = torch.zeros(images.present.shape, dtype=torch.int16)
        for category, present in enumerate(images.present.T.cpu()):
            shown = ((present > 0) & was_read).nonzero()[:, 0]
            if len(shown):
                clusters = k_means(pooled[shown], self.options.sub_categories)
                nearest[shown, category] = clusters.nearest.to(nearest.dtype)
        return nearest

    def pooled(self, images: Tensor) -> Tensor:
        """(B, D) mean of the last features of (B, 3, H, W) images, seen at `long_side_px`."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        height, width = images.shape[-2:]
        scale = self.options.long_side_px / max(height, width)
        size = [max(round(side * scale), SMALLEST_SIDE_PX) for side in (height, width)]
        return self.pyramid(resized(images, size, antialias=True))[-1].float().mean((-2, -1))

    def losses(self, batch: Batch, *, epoch: float) -> dict[str, Tensor]:
        """Classification by classes and, after round 0, by sub-categories."""
        last = self.dropout(self.pyramid(batch.images)[-1])
        logits = class_logits(self.head(last), pooling=self.options.pooling)
        losses = {"cls": classification_loss(logits.float(), batch.present)}
        if SUB_CATEGORIES in self.training_state:
            sub_logits = self.sub_head(last.mean((-2, -1))).float()
            losses["sub_cls"] = classification_loss(sub_logits, self.sub_labels(batch))
        return losses

    def sub_labels(self, batch: Batch) -> Tensor:
        """(B, C·K) 0/1 labels of the sub-categories; those of class c begin at c·K."""
        assert batch.index is not None
        own = self.training_state[SUB_CATEGORIES][batch.index.cpu()].to(batch.present.device)
        is_own = own[:, :, None] == torch.arange(self.options.sub_categories, device=own.device)
        return (is_own * batch.present[:, :, None]).flatten(1)

    def loss_weights(self, epoch: float) -> dict[str, float]:
        """See `Method.loss_weights`."""
        return {"cls": self.options.cls, "sub_cls": self.options.sub_cls}

    def has_idle_parameters(self) -> bool:
        """Round 0 does not train the sub-category head."""
        return True

    def _forget_sub_categories(self) -> None:
        """Start the sub-category head as a new one: numbers of other clusters mean nothing to it."""
        nn.init.trunc_normal_(self.sub_head.weight, std=0.02)
        if self.options.bias:
            nn.init.zeros_(self.sub_head.bias)
