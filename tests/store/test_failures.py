"""failures.csv holds the skipped images of every stage, each stage's own replaced at a time."""

from __future__ import annotations

from pathlib import Path

from swtformer.store.failures import Failure, read_failures, write_failures
from swtformer.store.run import Run

LOST = Failure("a, b", "localize", "x/a.jpg", 'is "cut"\nshort')
TORN = Failure("c", "mask", "maps/c.npz", "is damaged")


def test_each_stage_replaces_its_own_rows(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert read_failures(run) == []
    write_failures(run, "localize", [LOST])
    write_failures(run, "mask", [TORN])
    assert read_failures(run) == [LOST, TORN]
    write_failures(run, "localize", [])
    assert read_failures(run) == [TORN]


def test_without_failures_there_is_no_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_failures(run, "mask", [TORN])
    write_failures(run, "mask", [])
    assert not run.failures_file.exists()
