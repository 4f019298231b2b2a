"""Loaders of photographs with their masks; drawn as `loader` draws labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from swtformer.datasets.images import read_image, read_mask
from swtformer.errors import DataError
from swtformer.settings import DataSettings, SegmentSettings
from swtformer.training.augment import sample_generator
from swtformer.training.loader import (
    Draw,
    EpochBatches,
    SampleLoader,
    TrainingLoader,
    leave_interrupts_to_the_main_process,
    pins_memory,
)
from swtformer.training.pair_augment import PairAugmentation, WholePair, create_pair_augmentation

SMALLEST_BATCH = 2
"""Decoders normalise single values per image over the batch, which takes two images."""


@dataclass(frozen=True)
class MaskedImage:
    """A photograph with its mask.

    Attributes:
        id: record id.
        image: file of the photograph.
        mask: PNG of label values, of the photograph's size.
        confidence: weight of its pixels in the loss, in [0, 1].
    """

    id: str
    image: Path
    mask: Path
    confidence: float = 1.0


class PairBatch(TypedDict):
    """What the loaders give; a single item of the data set has the same keys without the first axis.

    image (B, 3, S, S) uint8 RGB, not normalised; mask (B, S, S) uint8 labels, 255 on padding; confidence (B,)
    float32; failed, indices of the pairs that could not be read and were replaced.
    """

    image: Tensor
    mask: Tensor
    confidence: Tensor
    failed: list[int]


class PairSamples(Dataset[PairBatch]):
    """Pairs addressed by (epoch, index); one that has become unreadable is replaced by the next readable one.

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
        self._pairs = pairs
        self._augmentation = augmentation
        self._exif = data_settings.exif
        self._seed = seed

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self._pairs)

    def __getitem__(self, draw: Draw) -> PairBatch:
        """Sample of a pair in an epoch.

        Raises:
            DataError: no pair can be read any more.
        """
        epoch, index = draw
        failed: list[int] = []
        for candidate in (*range(index, len(self)), *range(index)):
            pair = self._pairs[candidate]
            try:
                image, mask = read_image(pair.image, exif=self._exif), read_mask(pair.mask)
            except DataError:
                failed.append(candidate)
                continue
            made = self._augmentation(image, mask, sample_generator(self._seed, epoch, index))
            return PairBatch(
                image=made.image, mask=made.mask, confidence=torch.tensor(pair.confidence), failed=failed
            )
        raise DataError(f"None of the {len(self)} images and masks can be read any more.")


def collate_pairs(items: list[PairBatch]) -> PairBatch:
    """Stack items to a batch."""
    return PairBatch(
        image=torch.stack([item["image"] for item in items]),
        mask=torch.stack([item["mask"] for item in items]),
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
    """Loader of shuffled, augmented batches; the same for any number of workers.

    Args:
        pairs: at least one.
        settings: augmentation, crop, batch size and workers.
        data_settings: how images are read.
        seed: of order and augmentation.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        SettingsError: the augmentation's settings contradict one another.
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
    return TrainingLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate_pairs,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        worker_init_fn=leave_interrupts_to_the_main_process,
        pin_memory=pins_memory(settings),
    )


def evaluation_pairs(
    pairs: Sequence[MaskedImage],
    settings: SegmentSettings,
    data_settings: DataSettings,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> SampleLoader:
    """Loader of whole pairs in their order, padded to squares; process `rank` takes every `world_size`-th.

    All processes take equally many: where the pairs do not come out even, the last round begins again with
    the first ones, which then count twice.

    Args:
        pairs: at least one.
        settings: crop, batch size and workers.
        data_settings: how images are read.
        rank: this process, from 0.
        world_size: number of processes.
    """
    return SampleLoader(
        PairSamples(pairs, WholePair(settings.crop_px), data_settings, seed=0),
        batch_size=settings.batch_size,
        sampler=[
            (0, index % len(pairs))
            for index in range(rank, len(pairs) + -len(pairs) % world_size, world_size)
        ],
        collate_fn=collate_pairs,
        num_workers=settings.workers,
        worker_init_fn=leave_interrupts_to_the_main_process,
        pin_memory=pins_memory(settings),
    )
