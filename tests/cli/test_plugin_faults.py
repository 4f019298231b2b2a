"""Which plug-in an unexpected error is laid to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
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

    def parse(self, text):
        return json.loads(text)

    @classmethod
    def build(cls):
        return cls.missing


@METHODS.register("faulty_too")
class FaultyToo(Faulty):
    pass
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
    for name in ("faulty", "faulty_too"):
        METHODS.unregister(name)
    for name in ("faults", "faults.faulty", "faults.helpers"):
        del sys.modules[name]


def last_line(version: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(commands, "version", version)
    assert main(["version"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    return err.splitlines()[-1]


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (
            lambda module: module.Faulty().parse("[1, "),
            "'faulty' (faults.faulty) failed: JSONDecodeError: Expecting",
        ),
        (
            lambda module: module.FaultyToo().parse("{"),
            "'faulty_too' (faults.faulty) failed: JSONDecodeError: ",
        ),
        (lambda module: module.FaultyToo.build(), "'faulty_too' (faults.faulty) failed: AttributeError: "),
    ],
)
def test_the_plugin_that_was_running_is_named(
    fail: Callable[[ModuleType], object],
    message: str,
    package: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def version() -> None:
        fail(package)

    line = last_line(version, monkeypatch, capsys)
    assert line.startswith(f"error: The method {message}")
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
    both = "method 'faulty' (faults.faulty), method 'faulty_too' (faults.faulty)"
    assert f"at what these return: {both}. If it is not" in line
