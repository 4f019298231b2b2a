"""Loaders: which image is drawn when, and batches of them.

The sampler hands every worker (epoch, index) pairs, and each sample's generator is derived from the run's
seed and that pair. So samples are the same with any number of workers, with workers that live on from epoch
to epoch, and in a run that is resumed in the middle of an epoch.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from swtformer.datasets.images import read_image
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, ImageError
from swtformer.settings import DataSettings, OptimisationSettings, TrainSettings
from swtformer.training.augment import Augmentation, WholeImage, create_augmentation, sample_generator

Draw = tuple[int, int]
"""Epoch, and index of an image in its set."""


class Batch(TypedDict):
    """What the loaders give; a single item of the data set has the same keys without the first axis.

    image (B, 3, S, S) uint8 RGB, not normalised; valid (B, S, S) bool, False on padding; present (B, C)
    float32, 0 or 1; index (B,) int64, the images' indices in the set; failed, indices of the images that
    could not be read and were replaced.
    """

    image: Tensor
    valid: Tensor
    present: Tensor
    index: Tensor
    failed: list[int]


class LabelledSamples(Dataset[Batch]):
    """Samples of an image set with known labels, addressed by (epoch, index).

    An image that has become unreadable is replaced by the next readable one of the set, never filled with
    grey: batches keep their size, and the same files give the same batches. Picklable, for spawned workers.

    Args:
        image_set: images with known labels; leave out what a check found unreadable.
        augmentation: turns photographs into samples.
        data_settings: how images are read.
        seed: of all samples.

    Raises:
        DataError: no images, or images without known labels.
    """

    def __init__(
        self, image_set: ImageSet, augmentation: Augmentation, data_settings: DataSettings, *, seed: int
    ) -> None:
        if not image_set.records:
            raise DataError(f"{image_set.name} holds no images. Check its list and the split.")
        unlabelled = [record.id for record in image_set.records if record.present is None]
        if unlabelled:
            raise DataError(
                f"{image_set.name}: {len(unlabelled)} of {len(image_set)} images have no known labels, "
                f"{unlabelled[0]!r} first. Label them (an empty label means background) or leave them out."
            )
        self._name = image_set.name
        self._paths = [record.image for record in image_set.records]
        self._present = torch.from_numpy(image_set.labels())
        self._augmentation = augmentation
        self._exif = data_settings.exif
        self._seed = seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self._paths)

    def __getitem__(self, draw: Draw) -> Batch:
        """Sample of an image in an epoch.

        Raises:
            DataError: no image of the set can be read any more.
        """
        epoch, index = draw
        failed: list[int] = []
        for candidate in (*range(index, len(self)), *range(index)):
            try:
                image = read_image(self._paths[candidate], exif=self._exif)
            except ImageError:
                failed.append(candidate)
                continue
            sample = self._augmentation(image, sample_generator(self._seed, epoch, index))
            return Batch(
                image=sample.image,
                valid=sample.valid,
                present=self._present[candidate],
                index=torch.tensor(candidate),
                failed=failed,
            )
        raise DataError(f"{self._name}: none of its {len(self)} images can be read any more.")


def collate(items: list[Batch]) -> Batch:
    """Stack items to a batch."""
    return Batch(
        image=torch.stack([item["image"] for item in items]),
        valid=torch.stack([item["valid"] for item in items]),
        present=torch.stack([item["present"] for item in items]),
        index=torch.stack([item["index"] for item in items]),
        failed=[index for item in items for index in item["failed"]],
    )


class EpochBatches(Sampler[list[Draw]]):
    """Batches of (epoch, index): each epoch is a permutation of its own, derived from seed and epoch.

    Every image is drawn once an epoch and none is dropped: the last batch is as short as it has to be.
    Processes take turns on each stretch of `batch_size * world_size` images, so all have the same number of
    batches and no image in common; only where the last stretch is shorter than it has to be do the first
    images of the permutation fill it up.

    Args:
        images: number of images, at least 1.
        batch_size: images per batch and process.
        seed: of the permutations.
        start_epoch: epoch to begin with, from 0.
        start_batch: batches of that epoch that are already done; other epochs are whole.
        rank: this process, from 0.
        world_size: number of processes.
        smallest: images that a batch must have at least, as batch norm needs two.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        *,
        seed: int,
        start_epoch: int = 0,
        start_batch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        smallest: int = 1,
    ) -> None:
        self._images = images
        self._stretch = batch_size * world_size
        self._seed = seed
        self._epoch = self._start_epoch = start_epoch
        self._start_batch = start_batch
        self._rank = rank
        self._world_size = world_size
        self._least = smallest * world_size

    @property
    def sampler(self) -> EpochBatches:
        """Itself: where Lightning looks for `set_epoch`, which it calls before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next iteration draws; running workers need not be told."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Batches of a whole epoch; in the epoch that is resumed, those already done count too."""
        return -(-self._images // self._stretch)

    def __iter__(self) -> Iterator[list[Draw]]:
        """Batches of the chosen epoch, from where it is resumed."""
        seed = np.random.SeedSequence(self._seed % 2**64, spawn_key=(self._epoch,))
        order = np.random.default_rng(seed).permutation(self._images)
        done = self._start_batch if self._epoch == self._start_epoch else 0
        for start in range(done * self._stretch, self._images, self._stretch):
            stretch = order[start : start + self._stretch]
            if len(stretch) < self._least:
                stretch = np.concatenate([stretch, np.resize(order, self._least - len(stretch))])
            yield [(self._epoch, int(index)) for index in stretch[self._rank :: self._world_size]]


class SampleLoader(DataLoader[Any]):
    """DataLoader whose workers begin late and fail with a clear message."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches.

        Workers begin when the first batch is asked for, not before: Lightning opens the iterator of a resumed
        run before it tells which epoch that run is in.

        Raises:
            DataError: no image can be read any more.
        """
        try:
            yield from super().__iter__()
        except DataError as error:
            # torch puts the worker's traceback in front of the message.
            raise DataError(str(error).rsplit(f"{DataError.__name__}: ", 1)[-1].strip()) from None


class TrainingLoader(SampleLoader):
    """Loader of augmented batches that knows its epoch."""

    batch_sampler: EpochBatches

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next iteration draws."""
        self.batch_sampler.set_epoch(epoch)


def training_loader(
    image_set: ImageSet,
    settings: TrainSettings,
    data_settings: DataSettings,
    *,
    seed: int,
    start_epoch: int = 0,
    start_batch: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> TrainingLoader:
    """Loader of shuffled, augmented batches (see `Batch`); the same for any number of workers.

    It divides the images among processes by itself; under Lightning, set `use_distributed_sampler=False`.

    Args:
        image_set: readable images with known labels.
        settings: augmentation, crop, batch size and workers.
        data_settings: how images are read.
        seed: of order and augmentation.
        start_epoch: epoch to begin with, from 0.
        start_batch: batches of that epoch that are already done, when resuming.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        DataError: no images, or images without known labels.
        SettingsError: the augmentation's settings contradict one another.
    """
    dataset = LabelledSamples(image_set, create_augmentation(settings), data_settings, seed=seed)
    batches = EpochBatches(
        len(dataset),
        settings.batch_size,
        seed=seed,
        start_epoch=start_epoch,
        start_batch=start_batch,
        rank=rank,
        world_size=world_size,
    )
    return TrainingLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        worker_init_fn=leave_interrupts_to_the_main_process,
        pin_memory=pins_memory(settings),
    )


def evaluation_loader(
    image_set: ImageSet,
    settings: TrainSettings,
    data_settings: DataSettings,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> SampleLoader:
    """Loader of whole images in the set's order, padded to squares, for validation of the classifier.

    Nothing is random. Process `rank` takes every `world_size`-th image. All take equally many, as their
    networks may wait for one another in every batch: where the images do not come out even, the last round
    begins again with the first images.

    Args:
        image_set: images with known labels.
        settings: crop, batch size and workers.
        data_settings: how images are read.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        DataError: no images, or images without known labels.
    """
    images = len(image_set)
    return SampleLoader(
        LabelledSamples(image_set, WholeImage(settings.crop_px), data_settings, seed=0),
        batch_size=settings.batch_size,
        sampler=[(0, index % images) for index in range(rank, images + -images % world_size, world_size)],
        collate_fn=collate,
        num_workers=settings.workers,
        worker_init_fn=leave_interrupts_to_the_main_process,
        pin_memory=pins_memory(settings),
    )


def leave_interrupts_to_the_main_process(_: int) -> None:
    """Ctrl-C reaches every process of the group; workers end when the main process shuts them down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def pins_memory(settings: OptimisationSettings) -> bool:
    """Whether batches are copied to a GPU, which is faster from pinned memory."""
    return settings.accelerator in ("auto", "gpu") and torch.cuda.is_available()
