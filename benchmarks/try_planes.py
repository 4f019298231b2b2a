"""For `tries.py`: training crops with the shares of all labels and the surest pixels beside their mask."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from swtformer.functional.affinity import surest_labels
from swtformer.functional.labels import upsample
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.run import Run
from swtformer.training.pair_augment import Pair, ScaleCrop
from swtformer.training.pair_samples import PairSamples
from swtformer.training.placement import random_placement

LEVELS = 250
"""Shares are kept as multiples of 1/250; 255 is padding."""

CONFIDENCE = 0.85
"""Mean of the largest share that sharpened shares have."""


class PlaneSamples(PairSamples):  # type: ignore[misc]
    """Samples that hold, beside what `PairSamples` gives, two tensors made from the run's refined maps.

    - shares: (N, S, S) uint8, share of each label in multiples of 1/250, sharpened; 255 on padding.
    - surest: (S, S) uint8, labels of the surest third of the pixels of each of the image's labels, else 255.

    Attributes:
        run: where the maps lie.
        power: that sharpens shares.
    """

    run: ClassVar[Run]
    power: ClassVar[float]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photograph, and planes (K+3, H, W): mask, surest, shares of the background and K classes."""
        image, mask = super().read(index)
        pair = self._pairs[index]
        shares, surest = _evidence(self.run, pair.id, self.power)
        return image, np.concatenate([mask[None], surest[None], shares])

    def sample(
        self, content: tuple[np.ndarray, np.ndarray], index: int, *, generator: np.random.Generator
    ) -> dict[str, Tensor]:
        """Augment the photograph and all planes alike."""
        image, planes = content
        augment = self._augmentation
        assert isinstance(augment, ScaleCrop)
        made = _cropped(augment, image, planes, generator)
        pair = self._pairs[index]
        shares = torch.zeros(len(pair.present) + 1, *made.mask.shape[1:], dtype=torch.uint8)
        shares[[0, *_values(self.run, pair.id)]] = made.mask[2:]
        return {
            "image": made.image,
            "mask": made.mask[0],
            "surest": made.mask[1],
            "shares": shares,
            "present": torch.tensor(pair.present, dtype=torch.bool),
            "confidence": torch.tensor(pair.confidence),
        }


def _cropped(
    augment: ScaleCrop, image: np.ndarray, planes: np.ndarray, generator: np.random.Generator
) -> Pair:
    """As `ScaleCrop` does, with the same random numbers, for several masks."""
    height, width = image.shape[:2]
    factor = generator.uniform(*augment.scale)
    if augment.long_side_px is not None:
        factor *= augment.long_side_px / max(height, width)
    scaled = max(1, round(height * factor)), max(1, round(width * factor))
    placement = random_placement(image, scaled, augment.crop_px, generator)
    photograph = placement.photograph(image, augment.jitter, generator)
    return Pair(photograph, torch.stack([placement.mask(plane) for plane in planes]))


@lru_cache(maxsize=4096)
def _values(run: Run, id: str) -> tuple[int, ...]:
    return tuple(ClassActivationMaps.load(run.map_file(id)).values.tolist())


def _shares(run: Run, id: str) -> tuple[Tensor, Tensor]:
    """(K+1, H, W) shares of the maps of an image, and the (K,) labels of its classes."""
    maps = ClassActivationMaps.load(run.map_file(id))
    full = upsample(torch.from_numpy(maps.channels("refined")), maps.size)
    return full / full.sum(0).clamp_min(1e-12), torch.from_numpy(maps.values).long()


@lru_cache(maxsize=512)
def _evidence(run: Run, id: str, power: float) -> tuple[np.ndarray, np.ndarray]:
    shares, values = _shares(run, id)
    surest = surest_labels(shares, values, part=1 / 3)
    shares = shares**power
    shares = shares / shares.sum(0).clamp_min(1e-12)
    return (LEVELS * shares).round().to(torch.uint8).numpy(), surest.numpy()


def sharpening(run: Run, *, images: int = 40) -> float:
    """Power of the shares at which the mean of the largest is `CONFIDENCE`, over images with a class."""
    found = [shares for id in run.map_ids() if len(shares := _shares(run, id)[0]) > 1 or not shares.numel()]
    found = [shares[:, ::4, ::4].flatten(1) for shares in found[:: max(1, len(found) // images)]]

    def confidence(power: float) -> float:
        sharp = [(own**power / (own**power).sum(0).clamp_min(1e-12)).amax(0).mean() for own in found]
        return float(torch.stack(sharp).mean())

    low, high = 0.25, 64.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if confidence(middle) < CONFIDENCE else (low, middle)
    return low
