"""What the loaders share: samples that replace unreadable items, and how batches are drawn.

The sampler gives every worker (epoch, index) pairs, and the generator of a sample is derived from the run's
seed and that pair. So samples do not depend on the number of workers, nor on whether a run was resumed.
"""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from swtformer.errors import DataError, SettingsError
from swtformer.settings import OptimisationSettings

Content = TypeVar("Content")

SHARED_MEMORY = Path("/dev/shm")
PLENTY = 2**30
"""Bytes of free shared memory that need no closer look."""

Draw = tuple[int, int]
"""Epoch and index of an item."""


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Generator of one sample, from the run's seed, the epoch and the item's index alone."""
    return np.random.default_rng(np.random.SeedSequence(seed % 2**64, spawn_key=(epoch, index)))


class Samples(Dataset[dict[str, Any]], Generic[Content], ABC):
    """Samples of items on disk, addressed by (epoch, index).

    An item that has become unreadable is replaced by the next readable one, so batches keep their size.
    Subclasses can be pickled, for spawned workers.

    Attributes:
        smallest_batch: smallest number of samples in a batch; batch norm needs two.
        seed: of all samples and of their order.
    """

    smallest_batch: ClassVar[int] = 1

    def __init__(self, count: int, *, seed: int, none_left: str) -> None:
        """Hold what all samples share.

        Args:
            count: number of items, at least 1.
            seed: of all samples and of their order.
            none_left: error message if no item can be read any more.
        """
        self.seed = seed
        self._count = count
        self._none_left = none_left

    @abstractmethod
    def read(self, index: int) -> Content:
        """Read an item's files.

        Raises:
            DataError: they cannot be read; the next item is tried.
        """

    @abstractmethod
    def sample(self, content: Content, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        """Make a sample of an item.

        Args:
            content: what `read` returned.
            index: index of the item that was read.
            generator: random numbers of the draw, whichever item replaces it.

        Returns:
            Tensors by name, of the same shapes for all items.
        """

    def __len__(self) -> int:
        """Number of items."""
        return self._count

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        """Sample of an item in an epoch, and in "failed" the indices of unreadable items that it replaces.

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
            generator = sample_generator(self.seed, epoch, index)
            return {**self.sample(content, candidate, generator=generator), "failed": failed}
        raise DataError(self._none_left)


class EpochBatches(Sampler[list[Draw]]):
    """Batches of (epoch, index) in an order that seed and epoch determine.

    An epoch draws every image once; its last batch may be shorter. Processes take turns on each stretch of
    `batch_size * world_size` images, so they have equally many batches and share no image. A last stretch
    that is too short for all of them is filled up with the epoch's first images.

    Args:
        images: number of images, at least 1.
        batch_size: images per batch and process.
        seed: of the order.
        rank: this process, from 0.
        world_size: number of processes.
        smallest: smallest number of images in a batch.
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
        """Itself: Lightning calls `sampler.set_epoch` before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, that the next iteration draws."""
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
    """DataLoader whose workers start late and fail with a clear message."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches.

        Workers start with the first batch, since Lightning opens the iterator of a resumed run before it sets
        the epoch.

        Raises:
            DataError: no image can be read any more.
            SettingsError: shared memory is too small for the workers' batches.
        """
        if self.num_workers > 0 and SHARED_MEMORY.is_dir():
            self._require_shared_memory(shutil.disk_usage(SHARED_MEMORY).free)
        try:
            yield from super().__iter__()
        except DataError as error:
            # Without the worker's traceback, which torch puts before the message.
            raise DataError(str(error).rsplit(f"{DataError.__name__}: ", 1)[-1].strip()) from None

    def _require_shared_memory(self, free: int) -> None:
        """Workers pass batches through shared memory; one that finds it full is killed, or waits for ever."""
        if free >= PLENTY or self.batch_sampler is None:
            return
        batch = self.collate_fn([self.dataset[draw] for draw in next(iter(self.batch_sampler))])
        size = sum(value.nbytes for value in batch.values() if isinstance(value, torch.Tensor))
        needed = size * ((self.prefetch_factor or 0) + 1) * self.num_workers
        if free < needed:
            raise SettingsError(
                f"{SHARED_MEMORY} has {free / 2**20:.1f} MB free, and {self.num_workers} workers need about "
                f"{needed / 2**20:.1f} MB for their batches. Use fewer workers (0 needs none), or make it "
                "larger: in Docker by --shm-size=1g."
            )


def training_batches(
    samples: Samples[Any], settings: OptimisationSettings, *, rank: int = 0, world_size: int = 1
) -> SampleLoader:
    """Loader of the share of process `rank` in shuffled batches, see `EpochBatches`.

    It divides the batches among processes itself, so Lightning's `use_distributed_sampler` must be False.
    """
    batches = EpochBatches(
        len(samples),
        settings.batch_size,
        seed=samples.seed,
        rank=rank,
        world_size=world_size,
        smallest=samples.smallest_batch,
    )
    return _loader(samples, settings, batch_sampler=batches, persistent_workers=settings.workers > 0)


def ordered_batches(
    samples: Samples[Any], settings: OptimisationSettings, *, rank: int = 0, world_size: int = 1
) -> SampleLoader:
    """Loader of all samples of epoch 0 in order; process `rank` takes every `world_size`-th.

    All processes take equally many, as their networks may synchronise in every batch: the last round is
    filled up with the first samples.
    """
    count = len(samples)
    order = [(0, index % count) for index in range(rank, count + -count % world_size, world_size)]
    return _loader(samples, settings, sampler=order, batch_size=settings.batch_size)


def _loader(samples: Samples[Any], settings: OptimisationSettings, **order: Any) -> SampleLoader:
    return SampleLoader(
        samples,
        collate_fn=_collate,
        num_workers=settings.workers,
        worker_init_fn=_leave_interrupts_to_the_main_process,
        # Batches go to a GPU faster from pinned memory.
        pin_memory=settings.accelerator in ("auto", "gpu") and torch.cuda.is_available(),
        **order,
    )


def _collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack the tensors of samples to a batch, and join their lists of unreadable items."""
    names = [name for name in items[0] if name != "failed"]
    stacked = {name: torch.stack([item[name] for item in items]) for name in names}
    return {**stacked, "failed": [index for item in items for index in item["failed"]]}


def _leave_interrupts_to_the_main_process(_: int) -> None:
    """Ctrl-C reaches all processes; the main process shuts the workers down."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
