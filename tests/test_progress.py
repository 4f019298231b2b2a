from __future__ import annotations

import inspect

import pytest

from swtformer.cli.screen import ProgressView
from swtformer.progress import Progress, silent


@pytest.mark.parametrize("shown", [silent, ProgressView.__call__])
def test_progress_can_be_reported_to_each(shown: object) -> None:
    def parameters(function: object) -> list[tuple[str, object]]:
        assert callable(function)
        named = inspect.signature(function).parameters
        return [(name, item.default) for name, item in named.items() if name != "self"]

    assert parameters(shown) == parameters(Progress.__call__)


def test_silent_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent("train", 1, 2, note="loss 0.5")
    assert capsys.readouterr() == ("", "")
