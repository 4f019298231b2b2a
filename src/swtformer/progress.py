"""How a stage tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """How a stage tells that it moves on; the command line draws a bar from it."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` steps of `stage` are over; `note` holds losses or the like."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""
