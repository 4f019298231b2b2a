"""The page of commands and settings holds all of them, and the documents name no others."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from swtformer.settings import REGISTRIES, Section, Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/_ext/command_reference.py"


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
    assert "`--train.keep` `last|best` · default `last`" in text


def test_every_option_of_a_plug_in_has_its_entry(reference: ModuleType) -> None:
    text = reference.settings_text()
    for section, registry in REGISTRIES.items():
        for plugin in registry.values():
            for name in plugin.settings_type.model_fields:
                assert f"\n`--{section}.{name}`" in text, name
    method = text.split("#### Method swtformer_v1\n")[1].split("\n#### ")[0]
    assert "`--method.kernel` `3|1` · default `1`\n: Kernel size of the CAM head.\n" in method
    assert "`--method.hff`" not in method
    assert "`voc` has no options." in text


def test_every_command_has_its_section(reference: ModuleType) -> None:
    names = [command.name for command in reference.commands()]
    text = reference.commands_text()
    assert {"run", "data check", "pseudo-label", "import", "app"} <= set(names)
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == names
    assert "swtformer predict MODEL INPUT... --out FOLDER [OPTIONS]" in text
    assert "`--format`\n: Format to write: coco, " in text


def test_flags_in_the_documents_exist() -> None:
    known = {
        f"--{section}.{name}"
        for section, info in Settings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
        for name in info.annotation.model_fields
    } | {
        f"--{section}.{name}"
        for section, registry in REGISTRIES.items()
        for plugin in registry.values()
        for name in plugin.settings_type.model_fields
    }
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    named: list[str] = []
    unknown: list[tuple[str, str]] = []
    for document in documents:
        if "_build" in document.parts:
            continue
        text = document.read_text(encoding="utf-8")
        flags = re.findall(r"--[a-z_]+\.[a-z_]+", text)
        # Plug-ins that a tutorial writes have options of their own, as fields of a section.
        own = set(re.findall(r"^    ([a-z_]+): .* = ", text, re.MULTILINE))
        named += flags
        unknown += [
            (document.name, flag) for flag in flags if {flag, flag.split(".")[1]}.isdisjoint(known | own)
        ]
    assert len(set(named)) > 40
    assert unknown == []
