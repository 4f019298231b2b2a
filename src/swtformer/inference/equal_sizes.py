"""Work on a stream in batches of equal size, with the results in the order of the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from swtformer.datasets.records import Record
from swtformer.errors import SwtformerError

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_PIXELS = 2**22
"""Most pixels of a batch of more than one item: 22 photographs of 375×500, or 4 of 1000×1000."""

WINDOW = 4
"""Batches' worth of items that are held and looked at for equal sizes."""

BATCH_ON_A_GPU = 16


def usual_limit(device: str) -> int:
    """Most items of a batch where the settings name none; on a CPU more than one would not be faster."""
    return 1 if device == "cpu" else BATCH_ON_A_GPU


def in_equal_sizes(
    items: Iterable[tuple[Record, Item | SwtformerError]],
    *,
    size_of: Callable[[Item], tuple[int, int]],
    work: Callable[[list[Item]], Sequence[Result | SwtformerError]],
    limit: int,
) -> Iterator[tuple[Record, Result | SwtformerError]]:
    """Yield every record in order with the result of its item, or with the error that came in its place.

    The first item that waits is always worked on next, together with those of its size that are held. No more
    than `WINDOW` times `limit` items are held, and none is taken up while `WINDOW` times `BATCH_PIXELS` are.

    Args:
        items: taken one by one as there is room.
        size_of: (height, width) of an item in pixels.
        work: makes the results of a batch, in its order.
        limit: most items of a batch; with 1, no other item is held while one is worked on.
    """
    room = 1 + (limit - 1) * WINDOW
    numbered = enumerate(items)
    sizes: dict[int, tuple[int, int]] = {}  # of all that are held
    waiting: dict[int, tuple[Record, Item]] = {}
    finished: dict[int, tuple[Record, Result | SwtformerError]] = {}
    turn = 0
    while True:
        while len(sizes) < room and sum(map(_pixels, sizes.values())) < WINDOW * BATCH_PIXELS:
            entry = next(numbered, None)
            if entry is None:
                break
            number, (record, item) = entry
            if isinstance(item, SwtformerError):
                sizes[number], finished[number] = (0, 0), (record, item)
            else:
                sizes[number], waiting[number] = size_of(item), (record, item)
        if turn in finished:
            del sizes[turn]
            yield finished.pop(turn)
            turn += 1
        elif waiting:
            alike = [number for number in waiting if sizes[number] == sizes[turn]]
            chosen = alike[: max(min(limit, BATCH_PIXELS // max(_pixels(sizes[turn]), 1)), 1)]
            records, batch = zip(*(waiting.pop(number) for number in chosen), strict=True)
            finished.update(zip(chosen, zip(records, work(list(batch)), strict=True), strict=True))
        else:
            return


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
