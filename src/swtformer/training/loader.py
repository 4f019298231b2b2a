"""Loaders of images with image-level labels."""

from __future__ import annotations

from typing import TypedDict, final

import numpy as np
import torch
from torch import Tensor

from swtformer.datasets.images import read_image
from swtformer.datasets.records import ImageSet
from swtformer.engine.batches import (
    EpochBatches,
    SampleLoader,
    Samples,
    TrainingLoader,
    ordered_batches,
    training_batches,
)
from swtformer.errors import DataError
from swtformer.settings import DataSettings, TrainSettings
from swtformer.training.augment import Augmentation, WholeImage, create_augmentation


class Batch(TypedDict):
    """What the loaders yield; samples have the same keys without the first axis.

    image (B, 3, S, S) uint8 RGB, not normalised; valid (B, S, S) bool, False on padding; present (B, C)
    float32, 0 or 1; index (B,) int64, indices of the images in the set; failed, indices of unreadable images
    that were replaced.
    """

    image: Tensor
    valid: Tensor
    present: Tensor
    index: Tensor
    failed: list[int]


@final
class LabelledSamples(Samples[np.ndarray, Batch]):
    """Samples of an image set with known labels.

    Args:
        image_set: readable images with known labels.
        augmentation: turns photographs into samples.
        data_settings: how images are read.
        seed: of all samples.

    Raises:
        DataError: there are no images, or some have no known labels.
    """

    def __init__(
        self, image_set: ImageSet, augmentation: Augmentation, data_settings: DataSettings, *, seed: int
    ) -> None:
        if not image_set.records:
            raise DataError(f"{image_set.name} has no images. Check its list and the split.")
        unlabelled = [record.id for record in image_set.records if record.present is None]
        if unlabelled:
            raise DataError(
                f"{image_set.name}: {len(unlabelled)} of {len(image_set)} images have no known labels, "
                f"{unlabelled[0]!r} first. Label them (an empty label means background) or leave them out."
            )
        super().__init__(
            len(image_set),
            seed=seed,
            none_left=f"{image_set.name}: none of its {len(image_set)} images can be read any more.",
        )
        self._paths = [record.image for record in image_set.records]
        self._present = torch.from_numpy(image_set.labels())
        self._augmentation = augmentation
        self._exif = data_settings.exif

    def read(self, index: int) -> np.ndarray:
        """An image as (H, W, 3) uint8."""
        return read_image(self._paths[index], exif=self._exif)

    def sample(
        self, content: np.ndarray, index: int, *, generator: np.random.Generator, failed: list[int]
    ) -> Batch:
        """Augment an image and add its labels."""
        made = self._augmentation(content, generator)
        return Batch(
            image=made.image,
            valid=made.valid,
            present=self._present[index],
            index=torch.tensor(index),
            failed=failed,
        )


def collate(items: list[Batch]) -> Batch:
    """Stack samples to a batch."""
    return Batch(
        image=torch.stack([item["image"] for item in items]),
        valid=torch.stack([item["valid"] for item in items]),
        present=torch.stack([item["present"] for item in items]),
        index=torch.stack([item["index"] for item in items]),
        failed=[index for item in items for index in item["failed"]],
    )


def training_loader(
    image_set: ImageSet,
    settings: TrainSettings,
    data_settings: DataSettings,
    *,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> TrainingLoader:
    """Loader of shuffled, augmented batches (see `Batch`); see `training_batches`.

    Args:
        image_set: readable images with known labels.
        settings: augmentation, crop, batch size and workers.
        data_settings: how images are read.
        seed: of order and augmentation.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        DataError: there are no images, or some have no known labels.
        SettingsError: the settings of the augmentation contradict one another.
    """
    dataset = LabelledSamples(image_set, create_augmentation(settings), data_settings, seed=seed)
    batches = EpochBatches(len(dataset), settings.batch_size, seed=seed, rank=rank, world_size=world_size)
    return training_batches(dataset, settings, batches=batches, collate=collate)


def evaluation_loader(
    image_set: ImageSet,
    settings: TrainSettings,
    data_settings: DataSettings,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> SampleLoader:
    """Loader of whole images in order, padded to squares; see `ordered_batches`.

    Args:
        image_set: images with known labels.
        settings: crop, batch size and workers.
        data_settings: how images are read.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        DataError: there are no images, or some have no known labels.
    """
    samples = LabelledSamples(image_set, WholeImage(settings.crop_px), data_settings, seed=0)
    return ordered_batches(samples, settings, collate=collate, rank=rank, world_size=world_size)
