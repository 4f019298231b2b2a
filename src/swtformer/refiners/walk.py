"""What PSA and IRN have in common: they learn affinities, and their maps walk along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from swtformer.backbones.base import Backbone
from swtformer.functional.random_walk import random_walk
from swtformer.progress import Progress, silent
from swtformer.refiners.affinity_fit import fit_affinity
from swtformer.refiners.affinity_network import AffinityNetwork
from swtformer.refiners.base import Example, FitStates, LearnedRefiner
from swtformer.refiners.walk_settings import WalkSettings
from swtformer.settings import Section

SMALLEST_SIDE_PX = 32
"""Backbones take no smaller image; shorter sides are enlarged to it."""

STEPS = {"cam": 256, "rcam": 32}
"""Steps from CAMs, as published: they are small and have far to go. R-CAMs cover their objects already, and
so long a walk carries them beyond (benchmarks/refiners.md)."""


class WalkRefiner(LearnedRefiner):
    """Learns affinities from the surest labels of the run's maps, then lets the maps walk along them.

    Departures of the fitting from the reference code: labels as in `functional.affinity.surest_labels`, AdamW
    in place of SGD, no colour jitter.

    Attributes:
        network_type: what `build` makes.
        beta: published power of the affinities in the walk.
        crop_px: published side of the training crop.
        radius: published radius of the pairs that are learned from.
        scales: range of the random size of training images.
    """

    settings_type: ClassVar[type[Section]] = WalkSettings
    options: WalkSettings
    network: AffinityNetwork
    network_type: ClassVar[type[AffinityNetwork]]
    beta: ClassVar[float]
    crop_px: ClassVar[int]
    radius: ClassVar[int]
    scales: ClassVar[tuple[float, float]]

    def build(self, backbone: Backbone) -> None:
        """Make the network; see `LearnedRefiner.build`."""
        self.network = self.network_type(backbone).to(self.device).eval()

    def fit(
        self,
        examples: Sequence[Example],
        *,
        seed: int,
        states: FitStates | None = None,
        progress: Progress = silent,
    ) -> None:
        """Train the network on random crops; see `LearnedRefiner.fit`.

        Raises:
            DataError: there is no example.
            NonFiniteError: the loss or a weight is not finite.
            SettingsError: fp16 on a CPU.
        """
        torch.manual_seed(seed)
        self.network.reset()
        fit_affinity(
            self.network,
            examples,
            settings=self.options,
            crop_px=self.options.fit_crop_px or self.crop_px,
            radius=self.options.fit_radius or self.radius,
            scales=self.scales,
            seed=seed,
            states=states,
            progress=lambda done, total, note: progress("fit", done, total, note),
        )

    def walked(self, maps: Tensor, affinity: Tensor) -> Tensor:
        """Random walk of (…, K, h, w) maps over (…, P, h, w) affinities, by the settings."""
        return random_walk(
            maps,
            affinity,
            radius=self.options.walk_radius,
            beta=self.options.walk_beta or self.beta,
            steps=STEPS[self.source] if self.options.walk_steps is None else self.options.walk_steps,
        )


def enlarged(images: Tensor) -> Tensor:
    """(B, 3, H, W) images with each side enlarged to what backbones need."""
    height, width = images.shape[2:]
    size = max(height, SMALLEST_SIDE_PX), max(width, SMALLEST_SIDE_PX)
    if size == (height, width):
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(K, h, w) maps on another grid; bilinear, and with a filter as wide as a cell where it is coarser."""
    if tuple(maps.shape[1:]) == tuple(size):
        return maps
    return F.interpolate(maps[None], tuple(size), mode="bilinear", align_corners=False, antialias=True)[0]
