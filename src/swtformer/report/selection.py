"""Which images the page shows: a varied sample, and both ends of a ranking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from swtformer.datasets.records import Record
from swtformer.store.maps import ClassActivationMaps

Key = TypeVar("Key")

_BACKGROUND = -1


def varied(records: Sequence[Record], count: int) -> list[Record]:
    """Pick images by their classes, never by their quality, so that all classes are shown.

    In each round the class shown least so far (of those, the rarest) gives its next image; images without a
    class count as a class of their own. Images are taken from all over the list. While more classes are
    unseen than places are left, the image with the most unseen classes is taken. Nothing is random.

    Args:
        records: the images to pick from; unknown labels count as no class.
        count: number of images, or fewer where there are fewer.

    Returns:
        The picked records in the order of `records`.
    """
    members: dict[int, list[int]] = {}
    for position in _scattered(len(records)):
        for label in _labels(records[position]):
            members.setdefault(label, []).append(position)
    shown: Counter[int] = Counter()
    picked: set[int] = set()
    while len(picked) < min(count, len(records)):
        open_labels = [label for label, places in members.items() if not picked.issuperset(places)]
        label = min(open_labels, key=lambda label: (shown[label], len(members[label]), label))
        free = [position for position in members[label] if position not in picked]
        unseen = {label for label in open_labels if not shown[label]}
        if len(unseen) > count - len(picked):
            choice = max(free, key=lambda position: len(unseen.intersection(_labels(records[position]))))
        else:
            choice = free[0]
        picked.add(choice)
        shown.update(_labels(records[choice]))
    return [records[position] for position in sorted(picked)]


def extremes(ranked: Mapping[Key, float], count: int) -> tuple[list[Key], list[Key]]:
    """Both ends of a ranking, never overlapping.

    Args:
        ranked: a value for each key.
        count: length of each end, less where there are fewer than twice as many keys.

    Returns:
        Keys of the lowest values, lowest first, and of the highest, highest first.
    """
    order = sorted(ranked, key=lambda key: ranked[key])
    count = min(count, len(order) // 2)
    return order[:count], order[::-1][:count]


def confidence(maps: ClassActivationMaps) -> float:
    """How clearly the maps decide: mean over the grid of the best channel's lead over the second best.

    Takes the R-CAMs where there are any, else the CAMs with 1 − max as their background (Eq. 3).

    Returns:
        A value in [0, 1]; 1 for an image without a class, where nothing competes with the background.
    """
    channels = maps.channels(maps.best)
    if len(channels) < 2:
        return 1.0
    highest = np.partition(channels, -2, axis=0)[-2:]
    return float((highest[1] - highest[0]).mean())


def _labels(record: Record) -> tuple[int, ...]:
    return record.present or (_BACKGROUND,)


def _scattered(count: int) -> list[int]:
    """All positions below `count`, ordered so that any first part is spread over the whole list."""
    width = max(1, (count - 1).bit_length())
    mirrored = (int(f"{position:0{width}b}"[::-1], 2) for position in range(2**width))
    return [position for position in mirrored if position < count]
