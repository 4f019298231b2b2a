"""Sets images aside for validation."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from swtformer.datasets.records import ImageSet

SMALLEST_SET = 10


def split_off(image_set: ImageSet, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Set a random part of the images aside, with every class in about the same proportion.

    Images are drawn class by class, from the rarest to the most frequent, and finally from all images up to
    the fraction. Pure background and unlabelled images count as classes of their own. A class's last image
    always stays in training.

    Args:
        image_set: the images to divide.
        fraction: part to set aside, in [0, 1).
        seed: the same seed sets the same images aside.

    Returns:
        Training and validation set, each in the order of the source. Validation is empty where `fraction`
        is 0 or there are fewer than 10 images; training never is.

    Raises:
        ValueError: `fraction` is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"The fraction to set aside must lie in [0, 1), got {fraction}.")
    count = len(image_set)
    aside = _draw(image_set, fraction, seed) if count >= SMALLEST_SET else set()
    training = [index for index in range(count) if index not in aside]
    return (
        image_set.subset(training, name=f"{image_set.name} (training)"),
        image_set.subset(sorted(aside), name=f"{image_set.name} (validation)"),
    )


def _draw(image_set: ImageSet, fraction: float, seed: int) -> set[int]:
    """Positions of the images to set aside."""
    groups: dict[int | str, list[int]] = defaultdict(list)
    keys = [_groups_of(record.present) for record in image_set.records]
    shuffled = np.random.default_rng(seed).permutation(len(keys)).tolist()
    for index in shuffled:
        for key in keys[index]:
            groups[key].append(index)
    left = {key: len(members) for key, members in groups.items()}
    aside: set[int] = set()
    for members in (*sorted(groups.values(), key=len), shuffled):
        wanted = math.floor(fraction * len(members) + 0.5) - sum(index in aside for index in members)
        for index in members:
            if wanted <= 0:
                break
            if index not in aside and all(left[key] > 1 for key in keys[index]):
                aside.add(index)
                wanted -= 1
                for key in keys[index]:
                    left[key] -= 1
    return aside


def _groups_of(present: tuple[int, ...] | None) -> tuple[int | str, ...]:
    if present is None:
        return ("unlabelled",)
    return present or ("background",)
