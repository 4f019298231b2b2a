"""Every published configuration holds settings that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.settings import Settings, read_settings, validate

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_are_valid_and_the_command_is_named(path: Path) -> None:
    validate(Settings, read_settings(path), where=str(path))
    assert f"--config configs/{path.name}" in path.read_text(encoding="utf-8")


def test_there_are_configs() -> None:
    assert CONFIGS
