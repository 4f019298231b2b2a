from __future__ import annotations

import signal

import pytest

from swtformer.cli.screen import PLAIN_SECONDS, ProgressView, progress, say, warn_of
from swtformer.cli.signals import Stopped
from swtformer.datasets.records import Problem


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Terminal:
    """A stream that claims to be a terminal and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_plain_progress_is_sparse_and_shows_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with ProgressView(clock=clock) as view:
        for step in range(1, 41):
            clock.seconds += 1
            view("train", step, 41, note=f"loss {step}")
        view("train", 41, 41)
    lines = capsys.readouterr().err.splitlines()
    every = int(PLAIN_SECONDS)
    assert lines == [
        *(f"train: {step}/41 loss {step}" for step in range(every, 41, every)),
        "train: 41/41",
    ]


def test_progress_on_a_terminal_draws_one_bar_per_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with ProgressView() as view:
        view("train", 3, 3, note="loss 0.25")
        view("localize", 1, 4)
    last = terminal.text.splitlines()[-3:]
    shown = "\n".join(last)
    assert "3/3" in shown
    assert "loss 0.25" in shown
    assert "1/4" in shown
    assert "starting" not in shown


def test_processes_beside_the_first_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    say("text")
    warn_of([Problem("duplicate", False, "message")])
    with ProgressView() as view:
        view("train", 1, 1)
    assert capsys.readouterr() == ("", "")


def test_say_takes_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    long_path = "/" + "a" * 300 + "/[red]b"
    say(long_path)
    assert capsys.readouterr().out == f"{long_path}\n"


def test_problems_are_counted_by_kind_and_five_named(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("missing_image", False, f"no {number}.jpg") for number in range(7)]
    warn_of([*problems, Problem("duplicate", False, "twice: a.jpg")])
    assert capsys.readouterr().err == (
        "warning: 7 times missing image:\n"
        "  no 0.jpg\n  no 1.jpg\n  no 2.jpg\n  no 3.jpg\n  no 4.jpg\n"
        "  … and 2 more.\n"
        "warning: twice: a.jpg\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(Stopped(signal.SIGTERM), 143), (Stopped(signal.SIGINT), 130), (KeyboardInterrupt(), 130)],
)
def test_stopping_tells_the_way_on_as_it_is_then(error: BaseException, code: int) -> None:
    made: list[str] = []

    def work() -> None:
        with progress(lambda: f"{len(made)} made") as view:
            view("localize", 1, 2)
            made.append("a")
            raise error

    with pytest.raises(Stopped, match="SIG") as caught:
        work()
    assert caught.value.hint == "1 made"
    assert caught.value.exit_code == code
