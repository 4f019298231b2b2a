"""The page of commands and settings holds all of them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from swtformer.settings import Section, Settings

PAGE = Path(__file__).parents[2] / "docs/_ext/command_reference.py"


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    pytest.importorskip("sphinx", reason="needs the extra docs")
    spec = importlib.util.spec_from_file_location("command_reference", PAGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module


def test_every_setting_has_its_entry(reference: ModuleType) -> None:
    text = reference.settings_text()
    for section, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            for name in info.annotation.model_fields:
                assert text.count(f"\n`--{section.replace('_', '-')}.{name}`") == 1, name
    assert "`--train.epochs` `INT` · default `30`\n: Passes over the training images.\n" in text
    assert "`--model.kernel` `3|1` · default `1`" in text


def test_every_command_has_its_section(reference: ModuleType) -> None:
    names = [command.name for command in reference.commands()]
    text = reference.commands_text()
    assert {"run", "data check", "pseudo-label", "import", "app"} <= set(names)
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == names
    assert "swtformer predict MODEL INPUT... --out FOLDER [OPTIONS]" in text
    assert "`--format` `coco|voc|yolo|label-studio|cvat`\n: Format to write." in text
