"""The page of faults: what is counted, and that a fault of the program itself is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

Script = Callable[[str], ModuleType]


def test_the_page_counts_tries_and_names_what_did_not_hold(script: Script) -> None:
    faults = script("faults")
    suite = [
        {
            "number": 2,
            "promise": "skip",
            "case": "one",
            "outcome": "PASS",
            "note": "",
            "stderr": "This is a bug: …",
        },
        {"number": 2, "promise": "skip", "case": "two", "outcome": "FAIL", "note": "grey\nfilled"},
        {"number": 2, "promise": "skip", "case": "three", "outcome": "NOT RUN", "note": "no root"},
    ]
    text = faults.page(list(faults.suite_cases(suite)), "python faults.py")
    assert "| 2 | skip | 2 | 1 | 1 |" in text
    assert "- 2, two: grey filled" in text
    assert "- 51, one" in text
    assert "| 51 | no fault is answered with “this is a bug” | 3 | 2 |  |" in text
    assert "3 cases, 2 did not hold" in text


def test_a_case_is_a_command_that_ends_as_it_should(script: Script, tmp_path: Path) -> None:
    faults = script("faults")
    ended = faults.run("data", "check", tmp_path / "none")
    held, note = faults.refused(ended, "does not exist")
    assert held, note
    assert ended.megabytes > 10
    assert not faults.refused(ended, "does not exist", code=4)[0]
    assert faults.run("version", shell="2>&1 | cat").code == 0
