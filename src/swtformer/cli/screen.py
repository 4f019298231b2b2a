"""What the user sees: results on stdout; warnings, errors and progress on stderr."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swtformer.cli.signals import Stopped, asked_to_stop
from swtformer.processes import is_main_process
from swtformer.progress_view import ProgressView

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from swtformer.datasets.records import Problem

SHOWN = 5
"""Problems of one kind that are named; the others are counted."""


def make_streams_printable() -> None:
    """Escape letters that the terminal's encoding lacks; a stream that the caller closed takes no text."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (lives as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(*lines: RenderableType) -> None:
    """Print results on stdout; text is printed unchanged, and long paths are not broken."""
    if is_main_process():
        console = _console()
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=isinstance(line, str))


def warn(message: str) -> None:
    """Print a warning on stderr."""
    if is_main_process():
        from swtformer.cli.flags import with_dashes  # which loads the settings

        print(f"warning: {with_dashes(message)}", file=sys.stderr)


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


class _StoppedProgress(ProgressView):
    """A view of progress that raises a stop that some library swallowed."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `ProgressView`."""
        if (stop := asked_to_stop()) is not None:
            raise stop
        super().__call__(stage, done, total, note)


@contextmanager
def progress(hint: Callable[[], str]) -> Iterator[ProgressView]:
    """Show a stage's progress; if the user stops it, `hint` says how to resume.

    Args:
        hint: called when the stage is stopped, as only then it is known what is on disk.
    """
    with _StoppedProgress() as view:
        try:
            yield view
        except (Stopped, KeyboardInterrupt) as error:
            stop = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
            stop.hint = hint()
            raise stop from None


def _console() -> Console:
    from rich.console import Console

    # Without a window to set the width, wide tables stay whole.
    return Console(width=None if sys.stdout.isatty() else 160)
