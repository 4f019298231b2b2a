from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def fuzz(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds the tests
    return script("fuzz")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"a": [1, {"b": null}]}'),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}'),
        ("a.yaml", b"a: 1\nb: [c]\n"),
        ("a.csv", b"image,label\na.jpg,cat\n"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(30)),
    ],
)
def test_files_are_changed_the_same_way_for_the_same_seed(
    name: str, content: bytes, fuzz: ModuleType
) -> None:
    made = [[fuzz.changed(content, name, random.Random(seed), [content]) for seed in range(50)] for _ in "12"]
    assert made[0] == made[1]
    assert len(set(made[0])) > 10


def test_what_is_read_refused_or_fails_is_told_apart(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = SimpleNamespace(seen=[], scratch=tmp_path, is_on=False)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "a.yaml").write_text("seed: 1\n")
    (tmp_path / "case" / "b.yaml").write_text("sed: 1\n")
    assert fuzz.attempt("settings", "a.yaml", 0, watch) == ("read", "", "")
    assert fuzz.attempt("settings", "b.yaml", 0, watch) == ("refused", "", "")
    monkeypatch.setattr(fuzz, "read_settings", lambda path: {}["seed"])
    outcome, name, _ = fuzz.attempt("settings", "a.yaml", 0, watch)
    assert outcome == "failed"
    assert name.startswith("KeyError ")


def test_the_page_has_a_line_for_each_kind(fuzz: ModuleType) -> None:
    cases = {kind: {"read": 1000, "refused": 2, "failed": 1} for kind in fuzz.KINDS}
    text = fuzz.page([{"seconds": 600, "seed": 3, "cases": cases, "found": ["KeyError a.py:b:1"]}] * 2)
    assert "| masks | label images | 2,006 | 2,000 | 4 | 2 |" in text
    assert "The last run took 10 minutes. `KeyError a.py:b:1` failed." in text
    assert "cases in 20 minutes (runs: 2)" in text
