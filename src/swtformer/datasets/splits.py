"""Which split of a data set to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swtformer.errors import DataError, nearest

ALL = "all"
"""Reads a whole table or folder, unless it has a split of this name."""


def choose_split(
    root: Path, asked: str | None, known: Iterable[str], *, default: Sequence[str]
) -> str | None:
    """The split to read.

    Args:
        root: the data set, for messages.
        asked: name that the user gave.
        known: splits that exist; none where the set is not divided.
        default: names of which the first that exists is taken when none is asked for.

    Returns:
        A known split; None, for the whole set, if it has no splits or none of the default ones.

    Raises:
        DataError: the split that was asked for does not exist; the message lists those that do.
    """
    names = sorted(set(known))
    if asked is None:
        return next((name for name in default if name in names), None)
    if asked in names:
        return asked
    if not names:
        raise DataError(f"{root}: has no splits, so there is no split {asked!r}; leave the split out.")
    there = ", ".join(names)
    guess = nearest(asked, names)
    hint = f" {guess}" if guess.startswith("Did") else ""
    raise DataError(f"{root}: has no split {asked!r}.{hint} There are: {there}.")
