"""What the loaders share: which item is drawn when, what replaces one that cannot be read, and batches.

The sampler hands every worker (epoch, index) pairs, and each sample's generator is derived from the run's
seed and that pair. So samples are the same with any number of workers, with workers that live on from epoch
to epoch, and in a run that is resumed.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from swtformer.errors import DataError
from swtformer.settings import OptimisationSettings

Content = TypeVar("Content")
Item = TypeVar("Item")

Draw = tuple[int, int]
"""Epoch, and index of an item in its set."""


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Generator of one sample: a function of the run's seed, the epoch and the image's index alone.

    So a resumed run, and any number of loader workers, draw the same samples.
    """
    return np.random.default_rng(np.random.SeedSequence(seed % 2**64, spawn_key=(epoch, index)))


class Samples(Dataset[Item], Generic[Content, Item], ABC):
    """Samples of items on disk, addressed by (epoch, index).

    An item that has become unreadable is replaced by the next readable one of the set, never filled with
    grey: batches keep their size, and the same files give the same batches. Picklable, for spawned workers.

    Args:
        count: number of items.
        seed: of all samples.
        none_left: message of the error where no item can be read any more.
    """

    def __init__(self, count: int, *, seed: int, none_left: str) -> None:
        self._count = count
        self._seed = seed
        self._none_left = none_left

    @abstractmethod
    def read(self, index: int) -> Content:
        """Read an item's files.

        Raises:
            DataError: they cannot be read; the next item is tried.
        """

    @abstractmethod
    def sample(
        self, content: Content, index: int, *, generator: np.random.Generator, failed: list[int]
    ) -> Item:
        """Make a sample of what was read.

        Args:
            content: what `read` gave.
            index: of the item that was read.
            generator: of the sample that was asked for, whichever item takes its place.
            failed: indices of the items that could not be read and that this one replaces.
        """

    def __len__(self) -> int:
        """Number of items."""
        return self._count

    def __getitem__(self, draw: Draw) -> Item:
        """Sample of an item in an epoch.

        Raises:
            DataError: no item of the set can be read any more.
        """
        epoch, index = draw
        failed: list[int] = []
        for candidate in (*range(index, len(self)), *range(index)):
            try:
                content = self.read(candidate)
            except DataError:
                failed.append(candidate)
                continue
            generator = sample_generator(self._seed, epoch, index)
            return self.sample(content, candidate, generator=generator, failed=failed)
        raise DataError(self._none_left)


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
        rank: int = 0,
        world_size: int = 1,
        smallest: int = 1,
    ) -> None:
        self._images = images
        self._stretch = batch_size * world_size
        self._seed = seed
        self._epoch = 0
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
        """Batches of an epoch."""
        return -(-self._images // self._stretch)

    def __iter__(self) -> Iterator[list[Draw]]:
        """Batches of the chosen epoch."""
        seed = np.random.SeedSequence(self._seed % 2**64, spawn_key=(self._epoch,))
        order = np.random.default_rng(seed).permutation(self._images)
        for start in range(0, self._images, self._stretch):
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


def training_batches(
    samples: Samples[Any, Item],
    settings: OptimisationSettings,
    *,
    batches: EpochBatches,
    collate: Callable[[list[Item]], Item],
) -> TrainingLoader:
    """Loader of the batches that a sampler draws; the same for any number of workers.

    Args:
        samples: what is drawn from.
        settings: workers, and where they compute.
        batches: which samples make a batch; the sampler divides them among processes by itself, so set
            Lightning's `use_distributed_sampler=False`.
        collate: stacks samples to a batch.
    """
    return TrainingLoader(
        samples,
        batch_sampler=batches,
        persistent_workers=settings.workers > 0,
        **_common(settings, collate),
    )


def ordered_batches(
    samples: Samples[Any, Item],
    settings: OptimisationSettings,
    *,
    collate: Callable[[list[Item]], Item],
    rank: int,
    world_size: int,
) -> SampleLoader:
    """Loader of all samples of epoch 0 in their order; process `rank` takes every `world_size`-th.

    All processes take equally many, as their networks may wait for one another in every batch: where the
    samples do not come out even, the last round begins again with the first ones.

    Args:
        samples: what is read.
        settings: batch size, workers, and where they compute.
        collate: stacks samples to a batch.
        rank: this process, from 0.
        world_size: number of processes.
    """
    count = len(samples)
    return SampleLoader(
        samples,
        batch_size=settings.batch_size,
        sampler=[(0, index % count) for index in range(rank, count + -count % world_size, world_size)],
        **_common(settings, collate),
    )


def _common(settings: OptimisationSettings, collate: Callable[[list[Item]], Item]) -> dict[str, Any]:
    return {
        "collate_fn": collate,
        "num_workers": settings.workers,
        "worker_init_fn": _leave_interrupts_to_the_main_process,
        "pin_memory": _pins_memory(settings),
    }


def _leave_interrupts_to_the_main_process(_: int) -> None:
    """Ctrl-C reaches every process of the group; workers end when the main process shuts them down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _pins_memory(settings: OptimisationSettings) -> bool:
    """Whether batches are copied to a GPU, which is faster from pinned memory."""
    return settings.accelerator in ("auto", "gpu") and torch.cuda.is_available()
