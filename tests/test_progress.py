from __future__ import annotations

import inspect

import pytest

from swtformer.progress import Progress, shown, silent
from swtformer.progress_view import NotebookProgress, ProgressView


@pytest.mark.parametrize("view", [silent, shown, ProgressView.__call__, NotebookProgress.__call__])
def test_progress_can_be_reported_to_each(view: object) -> None:
    def parameters(function: object) -> list[tuple[str, object]]:
        assert callable(function)
        named = inspect.signature(function).parameters
        return [(name, item.default) for name, item in named.items() if name != "self"]

    assert parameters(view) == parameters(Progress.__call__)


def test_silent_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent("train", 1, 2, note="loss 0.5")
    assert capsys.readouterr() == ("", "")
