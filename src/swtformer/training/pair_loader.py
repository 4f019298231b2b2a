"""Loaders of photographs with masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, final

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image, read_mask
from swtformer.engine.batches import (
    EpochBatches,
    SampleLoader,
    Samples,
    TrainingLoader,
    ordered_batches,
    training_batches,
)
from swtformer.settings import DataSettings, SegmentSettings
from swtformer.training.pair_augment import PairAugmentation, WholePair, create_pair_augmentation

SMALLEST_BATCH = 2
"""Decoders have batch norm over one value per image, which needs two images."""


@dataclass(frozen=True)
class MaskedImage:
    """A photograph with its mask.

    Attributes:
        id: record id.
        image: file of the photograph.
        mask: PNG of label values, of the photograph's size.
        present: for each class, whether the image shows it or may show it.
        confidence: weight of its pixels in the loss, in [0, 1].
    """

    id: str
    image: Path
    mask: Path
    present: tuple[bool, ...]
    confidence: float = 1.0


class PairBatch(TypedDict):
    """What the loaders yield; samples have the same keys without the first axis.

    image (B, 3, S, S) uint8 RGB, not normalised; mask (B, S, S) uint8 labels, 255 on padding; present (B, C)
    bool, image-level labels; confidence (B,) float32; failed, indices of unreadable pairs that were replaced.
    """

    image: Tensor
    mask: Tensor
    present: Tensor
    confidence: Tensor
    failed: list[int]


@final
class PairSamples(Samples[tuple[np.ndarray, np.ndarray], PairBatch]):
    """Samples of photographs with masks.

    Args:
        pairs: at least one.
        augmentation: turns photographs and masks into pairs of one size.
        data_settings: how images are read.
        seed: of all samples.
    """

    def __init__(
        self,
        pairs: Sequence[MaskedImage],
        augmentation: PairAugmentation,
        data_settings: DataSettings,
        *,
        seed: int,
    ) -> None:
        super().__init__(
            len(pairs),
            seed=seed,
            none_left=f"None of the {len(pairs)} images and masks can be read any more.",
        )
        self._pairs = pairs
        self._augmentation = augmentation
        self._exif = data_settings.exif

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A photograph (H, W, 3) and its mask (H, W), both uint8."""
        pair = self._pairs[index]
        return read_image(pair.image, exif=self._exif), read_mask(pair.mask)

    def sample(
        self,
        content: tuple[np.ndarray, np.ndarray],
        index: int,
        *,
        generator: np.random.Generator,
        failed: list[int],
    ) -> PairBatch:
        """Augment a pair and add its labels and confidence."""
        image, mask = self._augmentation(*content, generator)
        pair = self._pairs[index]
        return PairBatch(
            image=image,
            mask=mask,
            present=torch.tensor(pair.present, dtype=torch.bool),
            confidence=torch.tensor(pair.confidence),
            failed=failed,
        )


def collate_pairs(items: list[PairBatch]) -> PairBatch:
    """Stack samples to a batch."""
    return PairBatch(
        image=torch.stack([item["image"] for item in items]),
        mask=torch.stack([item["mask"] for item in items]),
        present=torch.stack([item["present"] for item in items]),
        confidence=torch.stack([item["confidence"] for item in items]),
        failed=[index for item in items for index in item["failed"]],
    )


def training_pairs(
    pairs: Sequence[MaskedImage],
    settings: SegmentSettings,
    data_settings: DataSettings,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> TrainingLoader:
    """Loader of shuffled, augmented batches; see `training_batches`.

    Args:
        pairs: at least one.
        settings: augmentation, crop, batch size and workers.
        data_settings: how images are read.
        seed: of order and augmentation.
        rank: this process, from 0.
        world_size: number of processes.
    """
    samples = PairSamples(pairs, create_pair_augmentation(settings), data_settings, seed=seed)
    batches = EpochBatches(
        len(samples),
        settings.batch_size,
        seed=seed,
        rank=rank,
        world_size=world_size,
        smallest=SMALLEST_BATCH,
    )
    return training_batches(samples, settings, batches=batches, collate=collate_pairs)


def evaluation_pairs(
    pairs: Sequence[MaskedImage],
    settings: SegmentSettings,
    data_settings: DataSettings,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> SampleLoader:
    """Loader of whole pairs in order, padded to squares; see `ordered_batches`.

    Args:
        pairs: at least one.
        settings: crop, batch size and workers.
        data_settings: how images are read.
        rank: this process, from 0.
        world_size: number of processes.
    """
    samples = PairSamples(pairs, WholePair(settings.crop_px), data_settings, seed=0)
    return ordered_batches(samples, settings, collate=collate_pairs, rank=rank, world_size=world_size)
