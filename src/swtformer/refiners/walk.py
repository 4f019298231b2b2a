"""What PSA and IRN share: they learn affinities, and maps walk along them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import Backbone
from swtformer.functional.affinity import affinity_loss, label_pairs
from swtformer.functional.random_walk import random_walk
from swtformer.functional.views import SMALLEST_SIDE_PX, resized
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.affinity_samples import labels_to_learn, random_crop
from swtformer.refiners.learned import Example, LearnedRefiner
from swtformer.refiners.walk_settings import WalkSettings

STEPS = {"cam": 256, "rcam": 32}
"""Steps from CAMs, as published: they are small and have far to go. R-CAMs cover their objects already, and
such a long walk carries them beyond (benchmarks/refiners.md)."""


class WalkRefiner(LearnedRefiner):
    """Learns affinities from the surest labels of the run's maps, then lets the maps walk along them.

    Departures of the fit from the reference code: labels as in `functional.affinity.surest_labels`, AdamW
    instead of SGD, no colour jitter.

    Attributes:
        network_type: what `build` makes.
        beta: published power of the affinities in the walk.
        crop_px: published side of the training crop.
        radius: published radius of the pairs that are learned from.
        scales: range of the random size of training images.
    """

    settings_type: ClassVar[type[WalkSettings]] = WalkSettings
    options: WalkSettings
    loss_names = ("affinity",)
    learning_rate_multipliers: ClassVar[Mapping[str, float]] = {"backbone": 0.1}
    network: AffinityNetwork
    network_type: ClassVar[type[AffinityNetwork]]
    beta: ClassVar[float]
    crop_px: ClassVar[int]
    radius: ClassVar[int]
    scales: ClassVar[tuple[float, float]]

    def build(self, backbone: Backbone) -> None:
        """See `LearnedRefiner.build`."""
        self.network = self.network_type(backbone).to(self.device).eval()

    def sample(self, example: Example, generator: np.random.Generator) -> dict[str, Tensor]:
        """A random crop: `image` (3, S, S), nan outside the picture, and `labels` (S, S) uint8."""
        image, labels = random_crop(
            example.image,
            labels_to_learn(example, self.options),
            generator,
            crop_px=self.options.fit_crop_px or self.crop_px,
            scales=self.scales,
        )
        return {"image": image, "labels": labels}

    def losses(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Cross-entropy of the affinities of all pairs whose labels are sure."""
        radius = self.options.fit_radius or self.radius
        # Outside the picture is the mean colour, which normalisation turns into 0.
        images = torch.where(batch["image"].isnan(), self.network.normalisation.mean, batch["image"])
        affinity = self.network.affinity(images, radius=radius)
        labels = F.interpolate(batch["labels"][:, None].float(), affinity.shape[-2:], mode="nearest-exact")
        return {"affinity": affinity_loss(affinity, label_pairs(labels[:, 0].long(), radius=radius))}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The new layers and the backbone."""
        return {"new": self.network.new_parameters(), "backbone": list(self.network.backbone.parameters())}

    def walked(self, maps: Tensor, affinity: Tensor) -> Tensor:
        """Random walk of (…, K, h, w) maps over (…, P, h, w) affinities."""
        return random_walk(
            maps,
            affinity,
            radius=self.options.walk_radius,
            beta=self.options.walk_beta or self.beta,
            steps=STEPS[self.source] if self.options.walk_steps is None else self.options.walk_steps,
        )


def enlarged(images: Tensor) -> Tensor:
    """(B, 3, H, W) images with each side enlarged to what backbones need."""
    return resized(images, [max(side, SMALLEST_SIDE_PX) for side in images.shape[2:]], antialias=True)
