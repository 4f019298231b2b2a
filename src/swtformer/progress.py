"""How stages report their progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by a stage as it advances; the command line draws a bar."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` steps of `stage` are done; `note` shows losses and the like."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Progress that is not shown."""


def shown(stage: str, done: int, total: int, note: str = "") -> None:
    """Default of public functions: `progress_view.shows_progress` puts a bar in its place."""
