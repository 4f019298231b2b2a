"""Progress on a terminal, in a notebook, or as lines of a log."""

from __future__ import annotations

import functools
import html
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from swtformer.processes import is_main_process
from swtformer.progress import shown

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

PLAIN_SECONDS = 10.0
"""Shortest time between two lines of progress where stderr is not a terminal."""

NOTEBOOK_SECONDS = 0.2
"""Shortest time between two updates of a notebook's bar."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
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


class NotebookProgress:
    """A bar per stage below a notebook's cell; unlike rich's and tqdm's it needs no ipywidgets."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bar: Any = None
        self._stage = ""
        self._updated = clock()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """See `Progress`."""
        is_new, now = self._stage != stage, self._clock()
        if not (is_new or done >= total or now - self._updated >= NOTEBOOK_SECONDS):
            return
        self._stage, self._updated = stage, now
        text = f"{stage}: {done}/{total} {note}".rstrip()
        bar = f'<progress value="{done}" max="{total}"></progress> {html.escape(text)}'
        content = {"text/plain": text, "text/html": bar}
        if is_new:
            from IPython.display import display

            self._bar = display(content, raw=True, display_id=True)
        else:
            self._bar.update(content, raw=True)


def shows_progress(stage: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorator of functions with `progress: Progress = shown`: a bar in a notebook or on a terminal.

    Where nobody watches, and with `progress=silent`, nothing is shown.
    """

    @functools.wraps(stage)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if kwargs.get("progress", shown) is not shown or not is_main_process():
            return stage(*args, **kwargs)
        if _is_notebook():
            kwargs["progress"] = NotebookProgress()
        elif sys.stderr.isatty():
            with ProgressView() as view:
                kwargs["progress"] = view
                return stage(*args, **kwargs)
        return stage(*args, **kwargs)

    return call


def _is_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter
