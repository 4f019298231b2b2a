"""Finds images that look alike: copies, and photographs of one scene a moment apart.

Each image is reduced to its difference hash (N. Krawetz, "Kind of Like That", 2013): its grey version at 9×8
pixels says in 64 bits, for each pixel but the last of a row, whether the one to its right is brighter. Few of
these bits change with the size, the compression, the brightness or the contrast. Images with a plain
gradient, such as metal under a lamp, agree in them by chance. So a second hash says for 8×9 pixels whether
the one below is brighter, and both must agree. Mirrored, turned and cut images are not recognised, nor are
nearly uniform ones, whose bits are noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from swtformer.datasets.folders.same_pictures import equal_files
from swtformer.datasets.records import Problem, Record

MOST_ACROSS, MOST_DOWN = 4, 6
"""Bits by which the two hashes of images that look alike may differ."""

LEAST_CONTRAST = 8
"""Grey levels (of 255) that the 9×8 pixels of an image must span to have a hash."""

NAMED = 3
"""Sets of images that a message names."""

_BAND_BITS = 13
_BANDS = MOST_ACROSS + 1

Hash = tuple[int, int]
"""64 bits each: whether the pixel to the right is brighter, and whether the one below is."""


@dataclass(frozen=True)
class Seen:
    """One image that was decoded: its record, the name of its split, and its hash, if it has one."""

    record: Record
    split: str
    hash: Hash | None


def difference_hash(pixels: np.ndarray) -> Hash | None:
    """The hash of an image; None for one that is nearly uniform.

    Args:
        pixels: (H, W, C) uint8; RGB where C is 3, else the first channel is looked at.

    Returns:
        Both in rows from the top left, the first bit as the highest.
    """
    seen = pixels if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[:, :, 0])
    grey = Image.fromarray(seen).convert("L")
    wide, high = (
        np.asarray(grey.resize(size, Image.Resampling.BOX), dtype=np.int16) for size in ((9, 8), (8, 9))
    )
    if int(wide.max()) - int(wide.min()) < LEAST_CONTRAST:
        return None
    return _number(wide[:, 1:] > wide[:, :-1]), _number(high[1:] > high[:-1])


def _number(bits: np.ndarray) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def numbered_sets(hashes: np.ndarray) -> np.ndarray:
    """Number the sets of hashes of which each is close to another one of its set.

    Hashes whose first parts differ in at most 4 bits share at least one of 5 bands of these bits, so only
    hashes that share a band are compared.

    Args:
        hashes: (N, 2) uint64, both parts of each.

    Returns:
        (N,) int64: equal numbers where hashes belong to one set.
    """
    unique, places = np.unique(hashes, axis=0, return_inverse=True)
    numbers = np.arange(len(unique))
    for band in range(_BANDS):
        keys = (unique[:, 0] >> np.uint64(band * _BAND_BITS)) & np.uint64((1 << _BAND_BITS) - 1)
        order = np.argsort(keys, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            if (numbers[members] == numbers[members[:1]]).all():
                continue
            across, down = unique[members].T.copy()
            for place, own in enumerate(members[:-1].tolist()):
                near = np.flatnonzero(np.bitwise_count(across[place + 1 :] ^ across[place]) <= MOST_ACROSS)
                near += place + 1
                near = near[np.bitwise_count(down[near] ^ down[place]) <= MOST_DOWN]
                joined = numbers[members[near]]
                if (joined != numbers[own]).any():
                    numbers[np.isin(numbers, joined)] = numbers[own]
    return np.asarray(numbers[places.reshape(-1)])


def look_alikes(images: Sequence[Seen]) -> Iterator[Problem]:
    """Remarks on images that look alike: across splits, else across groups, else within them.

    Every set of images that look alike is counted once. Of nearly uniform images only equal files count.
    """
    within: list[list[Seen]] = []
    across: dict[str, list[list[Seen]]] = {"splits": [], "groups": []}
    for alike in _sets(images):
        if len({seen.split for seen in alike}) > 1:
            across["splits"].append(alike)
        elif _has_groups(alike) and len({seen.record.group or seen.record.id for seen in alike}) > 1:
            across["groups"].append(alike)
        else:
            within.append(alike)
    if found := across["splits"]:
        told = _told(found, lambda seen: seen.split, "from different splits ")
        advice = "Scores on one split are not about new images where the network was trained on the other."
        yield Problem("look_alikes_across_splits", False, f"{told}. {advice}")
    if found := across["groups"]:
        told = _told(found, lambda seen: seen.record.group or seen.record.id, "from different groups ")
        advice = "If they belong together, give them one group."
        yield Problem("look_alikes_across_groups", False, f"{told}. {advice}")
    if within:
        told = _told(within, lambda seen: seen.record.id, "")
        advice = "" if _has_groups(images) else " `data.group` keeps such images on one side of the split."
        yield Problem("look_alikes", False, f"{told}.{advice}")


def _has_groups(images: Sequence[Seen]) -> bool:
    return any(seen.record.group is not None for seen in images)


def _sets(images: Sequence[Seen]) -> list[list[Seen]]:
    """Sets of two and more images that look alike, in the order of their first images."""
    hashed = [seen for seen in images if seen.hash is not None]
    plain = [seen for seen in images if seen.hash is None]
    by_number: dict[int, list[Seen]] = defaultdict(list)
    hashes = np.array([seen.hash for seen in hashed], dtype=np.uint64).reshape(-1, 2)
    for seen, number in zip(hashed, numbered_sets(hashes).tolist(), strict=True):
        by_number[number].append(seen)
    return [own for own in (*by_number.values(), *_equal_files(plain)) if len(own) > 1]


def _equal_files(images: Sequence[Seen]) -> list[list[Seen]]:
    """Images whose files are equal byte by byte, two and more each; unreadable files are left out."""
    return equal_files(images, lambda seen: seen.record.image)


def _told(sets: Sequence[Sequence[Seen]], side: Callable[[Seen], str], where: str) -> str:
    """How many sets there are, and two images of each of the first, from different sides."""
    shown = []
    for alike in sets[:NAMED]:
        first = alike[0]
        other = next(seen for seen in alike[1:] if side(seen) != side(first))
        more = f" and {len(alike) - 2:,} more" if len(alike) > 2 else ""
        shown.append(f"{_name(first, other)} and {_name(other, first)}{more}")
    equal = sum(any(len({*map(side, own)}) > 1 for own in _equal_files(alike)) for alike in sets)
    images = sum(map(len, sets))
    copies = f", {equal:,} of them equal files" if equal else ""
    count = "1 set" if len(sets) == 1 else f"{len(sets):,} sets"
    dots = "; …" if len(sets) > NAMED else ""
    return f"{images:,} images {where}look alike, in {count}{copies}: {'; '.join(shown)}{dots}"


def _name(seen: Seen, other: Seen) -> str:
    """An image with its split or its group, where those of the other one differ."""
    if seen.split != other.split:
        return f"{seen.record.id} ({seen.split})"
    if seen.record.group != other.record.group:
        return f"{seen.record.id} ({seen.record.group or 'no group'})"
    return seen.record.id
