"""Which plug-in an unexpected error is laid to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from swtformer.cli import commands, main
from swtformer.settings import METHODS

PLUGIN = """
import json
from swtformer.settings import METHODS, NoSettings
from {package}.helpers import helped

@METHODS.register("faulty")
class Faulty:
    settings_type = NoSettings

    @staticmethod
    def parse(text):
        return json.loads(text)
"""
HELPERS = """
def helped():
    return {}["oops"]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The imported module of a plug-in "faulty" of another package."""
    (tmp_path / "faults").mkdir()
    (tmp_path / "faults/__init__.py").touch()
    (tmp_path / "faults/faulty.py").write_text(PLUGIN.replace("{package}", "faults"))
    (tmp_path / "faults/helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import faults.faulty  # type: ignore[import-not-found]

    yield faults.faulty
    METHODS.unregister("faulty")
    for name in ("faults", "faults.faulty", "faults.helpers"):
        del sys.modules[name]


def last_line(version: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(commands, "version", version)
    assert main(["version"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    return err.splitlines()[-1]


def test_the_plugin_that_was_running_is_named(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version() -> None:
        package.Faulty.parse("[1, ")

    line = last_line(version, monkeypatch, capsys)
    assert line.startswith(
        "error: The method 'faulty' (faults.faulty) failed: JSONDecodeError: Expecting value"
    )
    assert "report" not in line


def test_a_helper_of_its_package_is_named(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version() -> None:
        package.helped()

    line = last_line(version, monkeypatch, capsys)
    assert line.startswith("error: faults.helpers, which comes with a plug-in, failed: KeyError: 'oops'.")


def test_what_it_returned_is_looked_at_first(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version() -> None:
        raise ZeroDivisionError("by nothing")

    line = last_line(version, monkeypatch, capsys)
    assert "at what these return: method 'faulty' (faults.faulty). If it is not" in line
