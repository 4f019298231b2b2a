from __future__ import annotations

import inspect
import sys
import types

import pytest

from swtformer.progress import Progress, shown, silent
from swtformer.progress_view import (
    NOTEBOOK_SECONDS,
    PLAIN_SECONDS,
    NotebookProgress,
    ProgressView,
    shows_progress,
)


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


class Notebook:
    """Stands for IPython in a notebook and keeps what a cell shows, one entry per bar."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bars: list[dict[str, str]] = []
        self.updates = 0
        module = types.ModuleType("IPython.display")
        module.display = self._display  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
        monkeypatch.setitem(sys.modules, "IPython.display", module)
        shell = type("ZMQInteractiveShell", (), {})()
        monkeypatch.setattr("builtins.get_ipython", lambda: shell, raising=False)

    def _display(self, content: dict[str, str], *, raw: bool, display_id: bool) -> Notebook:
        assert raw
        assert display_id
        self.bars.append(content)
        return self

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.updates += 1
        self.bars[-1] = content


@shows_progress
def count(upto: int, *, progress: Progress = shown) -> int:
    for number in range(upto):
        progress("count", number + 1, upto, note="<b>")
    return upto


def test_calls_from_python_draw_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert count(3, progress=silent) == 3
    assert terminal.text == ""
    assert count(3) == 3
    assert "3/3" in terminal.text
    assert terminal.text.endswith("\x1b[?25h"), "the cursor is shown again"


def test_a_bar_on_a_terminal_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @shows_progress
    def fail(*, progress: Progress = shown) -> None:
        progress("fail", 1, 2)
        raise ValueError("no")

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ValueError, match="no"):
        fail()
    assert terminal.text.endswith("\x1b[?25h"), "the cursor is shown again"


def test_calls_from_python_are_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert count(3) == 3
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_one_bar_per_call(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    assert count(3, progress=silent) == 3
    assert notebook.bars == []
    count(3)
    count(2)
    assert [bar["text/plain"] for bar in notebook.bars] == ["count: 3/3 <b>", "count: 2/2 <b>"]
    assert '<progress value="3" max="3"></progress> count: 3/3 &lt;b&gt;' in notebook.bars[0]["text/html"]


def test_a_notebook_is_updated_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, clock = Notebook(monkeypatch), Clock()
    view = NotebookProgress(clock=clock)
    for step in range(100):
        view("train", step, 100)
        clock.seconds += NOTEBOOK_SECONDS / 10
    assert 8 <= notebook.updates <= 10
    view("localize", 1, 2)
    assert len(notebook.bars) == 2


def test_public_functions_show_progress() -> None:
    import swtformer

    functions = [getattr(swtformer, name) for name in swtformer.__all__]
    with_progress = {
        item: inspect.signature(item).parameters["progress"].default
        for item in functions
        if inspect.isfunction(item) and "progress" in inspect.signature(item).parameters
    }
    assert len(with_progress) == 15
    for function, default in with_progress.items():
        assert default is shown, function
        assert hasattr(function, "__wrapped__"), function
