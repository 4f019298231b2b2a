"""Sets images aside for validation."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError

SMALLEST_SET = 10


def split_off(image_set: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Set a random part of the images aside, with every class in about the same proportion.

    Images are drawn class by class, from the rarest to the most frequent, and finally from all images up to
    the fraction. Pure background and unlabelled images count as classes of their own. A class's last image
    always stays in training.

    Images of one group (`Record.group`) are drawn together. A group is set aside where that brings the number
    of images nearer to the fraction, and at least one is.

    Args:
        image_set: the images to divide.
        fraction: part to set aside, in [0, 1).
        seed: the same seed sets the same images aside.

    Returns:
        Training and validation set, each in the order of the source. Validation is empty where `fraction`
        is 0 or there are fewer than 10 images; training never is.

    Raises:
        ValueError: `fraction` is outside [0, 1).
        DataError: there is only one group, or every group holds all images of some class.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"The fraction to set aside must lie in [0, 1), got {fraction}.")
    count = len(image_set)
    aside: set[int] = set()
    if fraction > 0 and count >= SMALLEST_SET:
        units = _units(image_set.records)
        aside = _draw(image_set.records, units, fraction, seed)
        if not aside and len(units) < count:
            aside = _smallest(image_set, units)
    training = [index for index in range(count) if index not in aside]
    return (
        image_set.subset(training, name=f"{image_set.name} (training)"),
        image_set.subset(sorted(aside), name=f"{image_set.name} (validation)"),
    )


def _units(records: Sequence[Record]) -> list[list[int]]:
    """Positions of the images that stay together: those of each group, and each image without one."""
    by_group: dict[str | int, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        by_group[index if record.group is None else record.group].append(index)
    return list(by_group.values())


def _draw(records: Sequence[Record], units: Sequence[Sequence[int]], fraction: float, seed: int) -> set[int]:
    """Positions of the images to set aside."""
    images = [_images_per_class(records, unit) for unit in units]
    left = _sum(images)
    shuffled = np.random.default_rng(seed).permutation(len(units)).tolist()
    order: dict[int | str, list[int]] = defaultdict(list)
    for unit in shuffled:
        for key in images[unit]:
            order[key].append(unit)
    rarest_first = sorted(order, key=left.__getitem__)
    wanted = Counter({key: math.floor(fraction * left[key] + 0.5) for key in order})
    wanted_in_all = math.floor(fraction * len(records) + 0.5)
    aside: dict[int, None] = {}

    def set_aside(unit: int) -> None:
        nonlocal wanted_in_all
        aside[unit] = None
        wanted_in_all -= len(units[unit])
        wanted.subtract(images[unit])
        left.subtract(images[unit])

    def may_go(unit: int) -> bool:
        """Not drawn yet, not the last of a class, and, if it is a group, not too large for what is left."""
        is_alone = len(units[unit]) == 1
        return (
            unit not in aside
            and (is_alone or len(units[unit]) < 2 * wanted_in_all)
            and all(left[key] > number for key, number in images[unit].items())
        )

    for key in rarest_first:
        for unit in order[key]:
            if images[unit][key] < 2 * wanted[key] and may_go(unit):
                set_aside(unit)
    for unit in shuffled:
        if len(units[unit]) < 2 * wanted_in_all and may_go(unit):
            set_aside(unit)
    for unit in list(aside):
        if 1 < len(units[unit]) < -2 * wanted_in_all:  # a group too many, taken for its classes
            wanted_in_all += len(units[unit])
            del aside[unit]
    return {index for unit in aside for index in units[unit]}


def _smallest(image_set: ImageSet, units: Sequence[Sequence[int]]) -> set[int]:
    """The smallest group that leaves images of every class, where each is larger than the part wanted."""
    images = [_images_per_class(image_set.records, unit) for unit in units]
    left = _sum(images)
    possible = [
        unit
        for unit, own in zip(units, images, strict=True)
        if all(left[key] > number for key, number in own.items())
    ]
    if possible:
        smallest = min(possible, key=len)
        return set(smallest)
    groups = "1 group" if len(units) == 1 else f"{len(units)} groups, each with all images of some class"
    raise DataError(
        f"{image_set.name}: the {len(image_set)} images are of {groups}, so no whole group can be set aside "
        "for validation. Set `validation_fraction` to 0, name a split with `data.validation_split`, or "
        "choose a finer `data.group`."
    )


def _images_per_class(records: Sequence[Record], unit: Sequence[int]) -> Counter[int | str]:
    """Number of a unit's images by class, pure background and unlabelled ones as classes of their own."""
    return Counter(key for index in unit for key in _classes_of(records[index].present))


def _classes_of(present: tuple[int, ...] | None) -> tuple[int | str, ...]:
    if present is None:
        return ("unlabelled",)
    return present or ("background",)


def _sum(counts: Sequence[Counter[int | str]]) -> Counter[int | str]:
    total: Counter[int | str] = Counter()
    for own in counts:
        total.update(own)
    return total
