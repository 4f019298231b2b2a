from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from swtformer.cli.screen import progress, say, warn_of
from swtformer.cli.signals import Stopped, asked_to_stop, stop_on_signals
from swtformer.datasets.records import Problem


def test_processes_beside_the_first_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    say("text")
    warn_of([Problem("duplicate", False, "message")])
    with progress(lambda: "") as view:
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


def test_a_stop_that_a_library_swallowed_is_raised_at_the_next_step() -> None:
    def train() -> None:
        with stop_on_signals(), progress(lambda: "Again.") as view:
            view("train", 1, 3)
            with suppress(Stopped):
                signal.raise_signal(signal.SIGINT)
            view("train", 2, 3)

    with pytest.raises(Stopped) as caught:
        train()
    assert (caught.value.exit_code, caught.value.hint) == (130, "Again.")
    assert asked_to_stop() is None
