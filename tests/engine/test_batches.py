"""Draws shared among processes, and samples that replace unreadable ones."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor

from swtformer.engine.batches import EpochBatches, Samples, ordered_batches, training_batches
from swtformer.errors import DataError, SettingsError
from swtformer.settings import OptimisationSettings


@final
class Letters(Samples[str]):
    """The letters of a word; capitals cannot be read."""

    def __init__(self, word: str, *, seed: int = 0) -> None:
        super().__init__(len(word), seed=seed, none_left=f"{word}: no letter is left.")
        self._word = word

    def read(self, index: int) -> str:
        if self._word[index].isupper():
            raise DataError(f"{self._word[index]} is a capital.")
        return self._word[index]

    def sample(self, content: str, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        assert content == self._word[index]
        return {"index": torch.tensor(index), "number": torch.tensor(generator.random())}


def test_the_next_readable_item_replaces_an_unreadable_one() -> None:
    letters = [Letters("aBCd")[0, index] for index in range(4)]
    assert [letter["index"] for letter in letters] == [0, 3, 3, 3]
    assert [letter["failed"] for letter in letters] == [[], [1, 2], [2], []]
    last = Letters("aBC")[0, 2]
    assert (last["index"], last["failed"]) == (0, [2])  # starts again with the first


def test_the_generator_is_that_of_the_draw_and_not_of_the_replacement() -> None:
    whole, damaged = Letters("abcd"), Letters("aBcd")
    number = whole[4, 1]["number"]
    assert damaged[4, 1]["number"] == number
    assert number not in (whole[4, 2]["number"], whole[5, 1]["number"])
    assert number != Letters("abcd", seed=1)[4, 1]["number"]


def test_nothing_left_to_read() -> None:
    with pytest.raises(DataError, match=r"^ABC: no letter is left"):
        Letters("ABC")[0, 1]


SETTINGS = OptimisationSettings(batch_size=2, workers=0)


def test_batches_stack_samples_and_name_what_could_not_be_read() -> None:
    first, second = ordered_batches(Letters("aBCd"), SETTINGS)
    assert (first["index"].tolist(), first["failed"]) == ([0, 3], [1, 2])
    assert (second["index"].tolist(), second["failed"]) == ([3, 3], [2])


@pytest.mark.parametrize(
    ("word", "world_size", "shares"),
    [
        ("abcde", 2, [[[0, 2], [4]], [[1, 3], [0]]]),
        ("ab", 5, [[[0]], [[1]], [[0]], [[1]], [[0]]]),
    ],
)
def test_ordered_batches_have_equal_shares(word: str, world_size: int, shares: list[Any]) -> None:
    found = [
        [
            batch["index"].tolist()
            for batch in ordered_batches(Letters(word), SETTINGS, rank=rank, world_size=world_size)
        ]
        for rank in range(world_size)
    ]
    assert found == shares


def test_training_batches_are_of_the_chosen_epoch_and_of_the_samples_seed() -> None:
    def orders(seed: int) -> list[list[int]]:
        loader = training_batches(Letters("abcdefghij", seed=seed), SETTINGS)
        found = []
        for epoch in (0, 1, 0):
            loader.batch_sampler.set_epoch(epoch)
            found.append([int(index) for batch in loader for index in batch["index"]])
        return found

    first, second, again = orders(0)
    assert first == again != second
    assert sorted(first) == sorted(second) == list(range(10))
    assert orders(1)[0] != first


@pytest.mark.parametrize("images", range(1, 20))
def test_short_lists_are_used_whole(images: int) -> None:
    batches = EpochBatches(images, 16, seed=0)
    sizes = [len(batch) for batch in batches]
    assert sizes == ([images] if images <= 16 else [16, images - 16])
    assert len(batches) == len(sizes)


def test_a_last_batch_of_one_is_filled_up_from_the_first_of_the_epoch() -> None:
    (first, last) = EpochBatches(3, 2, seed=0, smallest=2)
    assert len(last) == 2
    assert last[1] == first[0]
    assert {index for _, index in first + last} == {0, 1, 2}


@pytest.mark.parametrize(
    ("images", "batch_size", "world_size"), [(64, 16, 2), (67, 16, 2), (19, 16, 2), (7, 2, 3), (100, 4, 8)]
)
def test_processes_share_each_epoch_without_overlap(images: int, batch_size: int, world_size: int) -> None:
    batches = [
        EpochBatches(images, batch_size, seed=1, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for own in batches:
        own.set_epoch(4)
    shards = [list(own) for own in batches]
    assert len({len(shard) for shard in shards}) == 1
    drawn = Counter(draw for shard in shards for batch in shard for draw in batch)
    extra = (
        max(0, world_size - images % (batch_size * world_size)) if images % (batch_size * world_size) else 0
    )
    assert set(drawn) == {(4, index) for index in range(images)}
    assert sum(drawn.values()) == images + extra
    assert all(0 < len(batch) <= batch_size for shard in shards for batch in shard)


def test_every_process_has_work_when_there_are_fewer_images_than_processes() -> None:
    shards = [list(EpochBatches(2, 16, seed=0, rank=rank, world_size=5)) for rank in range(5)]
    assert [[len(batch) for batch in shard] for shard in shards] == [[1]] * 5
    assert {index for shard in shards for _, index in shard[0]} == {0, 1}


@final
class Pictures(Samples[int]):
    """Samples of a megabyte."""

    def read(self, index: int) -> int:
        return index

    def sample(self, content: int, index: int, *, generator: np.random.Generator) -> dict[str, Tensor]:
        return {"image": torch.zeros(2**20, dtype=torch.uint8)}


@pytest.mark.parametrize(("free_mb", "workers", "fits"), [(11, 2, False), (13, 2, True), (1, 0, True)])
def test_shared_memory_must_hold_the_batches_of_all_workers(
    free_mb: int, workers: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers with two batches made ahead and one in the making, of two megabytes each."""
    usage = SimpleNamespace(free=free_mb * 2**20)
    monkeypatch.setattr("swtformer.engine.batches.shutil.disk_usage", lambda _: usage)
    settings = OptimisationSettings(batch_size=2, workers=workers)
    samples = Pictures(4, seed=0, none_left="none")
    loader = ordered_batches(samples, settings)
    if fits:
        assert [len(batch["image"]) for batch in loader] == [2, 2]
    else:
        with pytest.raises(SettingsError, match=r"11\.0 MB free, and 2 workers need about 12\.0 MB"):
            next(iter(loader))
