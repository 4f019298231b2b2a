"""Which team a process finds itself in; launched ones are tested in test_launched.py."""

from __future__ import annotations

import pytest

from swtformer.errors import SettingsError
from swtformer.sharing import Alone, open_team


def test_without_a_launcher_a_process_is_alone() -> None:
    assert isinstance(open_team(), Alone)


def test_ray_within_launched_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingsError, match=r"4 processes .* without torchrun or srun"):
        open_team("auto")
