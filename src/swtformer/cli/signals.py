"""Ctrl-C and SIGTERM as one exception that stages and libraries do not catch."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """A signal asks the program to stop; `finally` blocks run on its way up.

    It is not a KeyboardInterrupt on purpose: Lightning would end the process with exit code 1.

    Attributes:
        signum: the signal.
        hint: how the user resumes.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum
        self.hint = ""

    @property
    def exit_code(self) -> int:
        """130 for SIGINT and 143 for SIGTERM, as shells expect."""
        return 128 + self.signum


_stops: list[Stopped] = []
"""What was raised in this command."""


def asked_to_stop() -> Stopped | None:
    """What a signal has raised in this command; None where there was none.

    A library that is interrupted while it loads may swallow it or turn it into an error of its own.
    """
    return _stops[-1] if _stops else None


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise Stopped at SIGINT and SIGTERM; the handlers of before come back at the end.

    Processes forked meanwhile (loader workers) get Python's own KeyboardInterrupt, which they expect. Outside
    of the main thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def stop(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            raise KeyboardInterrupt
        _stops.append(Stopped(signum))
        raise _stops[-1]

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _stops.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
