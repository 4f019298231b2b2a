from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import Settings, validate


def test_a_relative_path_is_made_absolute_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"data": {"images": "a", "masks": "b", "palette": "c"}, "segment": {"masks": "d"}}
    settings = validate(Settings, names, where="settings.yaml")
    found = (settings.data.images, settings.data.masks, settings.data.palette, settings.segment.masks)
    assert found == tuple(tmp_path / name for name in "abcd")


def test_an_empty_path_is_not_the_current_folder() -> None:
    with pytest.raises(SettingsError, match=r"segment\.masks: expected a file or folder, got ''"):
        validate(Settings, {"segment": {"masks": ""}}, where="command line")
