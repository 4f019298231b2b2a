from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from swtformer.cli.signals import Stopped, stop_on_signals

FORK = """
import os, signal, sys
from swtformer.cli.signals import stop_on_signals
with stop_on_signals():
    child = os.fork()
    if child == 0:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            os._exit(17)
        os._exit(1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_raise_and_handlers_come_back(signum: int, code: int) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(Stopped, match=signal.Signals(signum).name) as caught, stop_on_signals():
        signal.raise_signal(signum)
    assert caught.value.exit_code == code
    assert signal.getsignal(signum) is before


def test_stopped_passes_except_exception_and_keyboard_interrupt() -> None:
    assert not issubclass(Stopped, (Exception, KeyboardInterrupt))


def test_forked_processes_get_a_keyboard_interrupt() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], check=False, timeout=60).returncode == 17


def test_other_threads_leave_the_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stop_on_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
