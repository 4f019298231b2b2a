"""Batches of equal size from a stream: which are made, in what order results come, what is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from swtformer.datasets.records import Record
from swtformer.errors import DataError, SwtformerError
from swtformer.inference.equal_sizes import BATCH_PIXELS, WINDOW, in_equal_sizes

Size = tuple[int, int]
TALL, WIDE = (3, 2), (2, 3)


def stream(sizes: Sequence[Size | None], taken: list[int]) -> Iterator[tuple[Record, Size | SwtformerError]]:
    """Records named by their places, with their size as the item; None is one that cannot be used."""
    for place, size in enumerate(sizes):
        taken.append(place)
        yield Record(str(place), Path(str(place)), ()), DataError(f"no {place}") if size is None else size


def worked(sizes: Sequence[Size | None], limit: int) -> tuple[list[str], list[list[Size]]]:
    """Ids in the order that they came in, and the batches that were worked on."""
    batches: list[list[Size]] = []

    def work(batch: list[Size]) -> list[str]:
        batches.append(batch)
        return [f"{size} of batch {len(batches)}" for size in batch]

    came = []
    for record, result in in_equal_sizes(
        stream(sizes, []), size_of=lambda size: size, work=work, limit=limit
    ):
        size = sizes[int(record.id)]
        assert str(result).startswith(f"no {record.id}" if size is None else str(size))
        came.append(record.id)
    return came, batches


def test_equal_sizes_are_worked_on_together_and_come_in_order() -> None:
    came, batches = worked([TALL, WIDE, TALL, WIDE, TALL, TALL, WIDE], limit=3)
    assert came == [str(place) for place in range(7)]
    assert batches == [[TALL] * 3, [WIDE] * 3, [TALL]]


def test_a_limit_of_one_is_one_by_one() -> None:
    came, batches = worked([TALL, TALL, WIDE], limit=1)
    assert came == ["0", "1", "2"]
    assert batches == [[TALL], [TALL], [WIDE]]
    taken: list[int] = []
    made = in_equal_sizes(stream([TALL] * 5, taken), size_of=lambda size: size, work=list, limit=1)
    next(made)
    assert taken == [0]


def test_what_cannot_be_used_comes_in_its_turn_and_stops_nothing() -> None:
    came, batches = worked([TALL, None, TALL, None], limit=2)
    assert came == ["0", "1", "2", "3"]
    assert batches == [[TALL, TALL]]
    assert worked([None, None], limit=2) == (["0", "1"], [])
    assert worked([], limit=2) == ([], [])


def test_a_failure_of_the_work_comes_in_its_turn() -> None:
    failed = DataError("no map")
    made = in_equal_sizes(
        stream([TALL, TALL], []), size_of=lambda size: size, work=lambda batch: [failed, "map"], limit=2
    )
    assert [result for _, result in made] == [failed, "map"]


def test_no_more_are_held_than_the_window() -> None:
    taken: list[int] = []
    made = in_equal_sizes(stream([TALL] + [WIDE] * 50, taken), size_of=lambda size: size, work=list, limit=3)
    next(made)
    assert len(taken) == 1 + 2 * WINDOW
    for _ in range(5):
        next(made)
    assert len(taken) == 1 + 2 * WINDOW + 5


@pytest.mark.parametrize(("side", "together"), [(2048, 1), (1024, 4), (1448, 2), (4096, 1)])
def test_the_pixels_of_a_batch_are_bounded(side: int, together: int) -> None:
    _, batches = worked([(side, side)] * 9, limit=8)
    assert max(map(len, batches)) == together


def test_the_pixels_that_are_held_are_bounded() -> None:
    taken: list[int] = []
    one = (BATCH_PIXELS // 2, 1)
    made = in_equal_sizes(stream([one] * 50, taken), size_of=lambda size: size, work=list, limit=16)
    next(made)
    assert len(taken) == 2 * WINDOW
