"""Which split of a data set to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from swtformer.errors import DataError, nearest

ALL = "all"
"""Reads a whole table or folder, unless it has a split of this name."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names of splits (lower case), and those that mean the same."""

_ENDING = re.compile(r"[ _-]?(set|data|\d+)$")
"""What may follow: train2017, test1, training_set."""


def is_split(name: str) -> bool:
    """Whether a folder of this name usually holds a split."""
    return split_meaning(name) in SPLIT_NAMES


def split_meaning(name: str) -> str:
    """The usual name of a split: "val" for "Validation_set"; in lower case, but else as it is, for others."""
    lower = name.lower()
    return SPLIT_NAMES.get(lower) or SPLIT_NAMES.get(_ENDING.sub("", lower), lower)


def split_within(name: str) -> str | None:
    """The usual name of the split that a name speaks of, as "seg_train" does; None if it speaks of none."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def choose_split(
    root: Path, asked: str | None, known: Iterable[str], *, default: Sequence[str]
) -> str | None:
    """The split to read.

    Args:
        root: the data set, for messages.
        asked: name that the user gave; "val" also finds "valid", and "train" also finds "Training".
        known: splits that exist; none where the set is not divided.
        default: names of which the first that exists is taken when none is asked for; matched like `asked`.

    Returns:
        A known split; None, for the whole set, if it has no splits or none of the default ones.

    Raises:
        DataError: the split that was asked for does not exist; the message lists those that do.
    """
    names = sorted(set(known))
    if asked is None:
        return next(filter(None, (_find(name, names) for name in default)), None)
    if (found := _find(asked, names)) is not None:
        return found
    if not names:
        raise DataError(f"{root}: has no splits, so there is no split {asked!r}; leave the split out.")
    there = ", ".join(names)
    guess = nearest(asked, names)
    hint = f" {guess}" if guess.startswith("Did") else ""
    raise DataError(f"{root}: has no split {asked!r}.{hint} There are: {there}.")


def _find(asked: str, names: Sequence[str]) -> str | None:
    """The split of this name, else the only one whose name means the same."""
    if asked in names:
        return asked
    same = [name for name in names if split_meaning(name) == split_meaning(asked)]
    return same[0] if len(same) == 1 else None
