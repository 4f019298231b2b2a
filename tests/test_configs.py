"""Every configuration that comes with the package holds settings that exist, and the command that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import read_settings, shipped_configs

CONFIGS = shipped_configs()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_are_valid_and_the_command_is_named(path: Path) -> None:
    assert read_settings(Path(path.stem)) == read_settings(path)
    assert f"--config {path.stem}" in path.read_text(encoding="utf-8")


def test_there_are_configs() -> None:
    assert "laptop" in [path.stem for path in CONFIGS]


def test_a_file_stands_above_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("laptop").write_text("seed: 7\n")
    assert read_settings(Path("laptop")) == {"seed": 7}


def test_an_unknown_name_is_told_which_there_are() -> None:
    with pytest.raises(SettingsError, match=r"desktop: cannot be read: .*come with the package: laptop, "):
        read_settings(Path("desktop"))
