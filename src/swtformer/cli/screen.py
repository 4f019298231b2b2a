"""What the user sees: results on stdout; warnings, errors and progress on stderr."""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swtformer.cli.signals import Stopped
from swtformer.processes import is_main_process

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars

    from swtformer.datasets.records import Problem

SHOWN = 5
"""Problems of one kind that are named; the others are counted."""

PLAIN_SECONDS = 10.0
"""Shortest time between two lines of progress where stderr is not a terminal."""


def say(*lines: RenderableType) -> None:
    """Print results on stdout; text is printed unchanged, and long paths are not broken."""
    if is_main_process():
        console = _console()
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=isinstance(line, str))


def warn(message: str) -> None:
    """Print a warning on stderr."""
    if is_main_process():
        print(f"warning: {message}", file=sys.stderr)


def warn_of(problems: Iterable[Problem]) -> None:
    """Print a data set's problems: counted by kind, the first five of each kind in full."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem.message)
    for kind, messages in kinds.items():
        if len(messages) == 1:
            warn(messages[0])
            continue
        lines = [f"{len(messages)} times {kind.replace('_', ' ')}:", *messages[:SHOWN]]
        if len(messages) > SHOWN:
            lines.append(f"… and {len(messages) - SHOWN} more.")
        warn("\n  ".join(lines))


class ProgressView:
    """Shows a stage's progress: a bar on a terminal, else a line from time to time. A context manager."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bars: Bars | None = None
        self._stage = ""
        self._printed = clock()

    def __enter__(self) -> ProgressView:
        """Show that something is going on: loading torch alone takes seconds."""
        if sys.stderr.isatty() and is_main_process():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}"),
                console=_console(stderr=True),
            )
            self._bars.start()
            self._bars.add_task("starting", total=None, note="")
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the bars as they are."""
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` steps of `stage` are finished; `note` may hold losses."""
        if self._bars is not None:
            if self._stage not in ("", stage):
                self._bars.add_task(stage, total=total, note=note)
            self._stage = stage
            shown = self._bars.task_ids[-1]
            self._bars.update(shown, description=stage, completed=done, total=total, note=note)
        elif is_main_process():
            now = self._clock()
            if done >= total or now - self._printed >= PLAIN_SECONDS:
                self._printed = now
                print(f"{stage}: {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)


@contextmanager
def progress(hint: Callable[[], str]) -> Iterator[ProgressView]:
    """Show a stage's progress; if the user stops it, `hint` says how to resume.

    Args:
        hint: called when the stage is stopped, as only then it is known what is on disk.
    """
    with ProgressView() as view:
        try:
            yield view
        except (Stopped, KeyboardInterrupt) as error:
            stop = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
            stop.hint = hint()
            raise stop from None


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    # Without a window to set the width, wide tables stay whole.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 160)
