"""failures.csv: the images that a stage skipped, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from swtformer.store.files import exact_rows, write_rows
from swtformer.store.run import Run


@dataclass(frozen=True)
class Failure:
    """One image that a stage skipped: a row of failures.csv.

    Attributes:
        id: record id.
        stage: the stage that skipped it ("train", "localize", …).
        path: file that could not be used.
        reason: one sentence.
    """

    id: str
    stage: str
    path: str
    reason: str


COLUMNS = tuple(item.name for item in fields(Failure))
"""Columns of failures.csv."""


def read_failures(run: Run) -> list[Failure]:
    """All rows of failures.csv; empty without the file.

    Raises:
        SwtformerError: it is damaged.
    """
    if not run.failures_file.is_file():
        return []
    return [Failure(**row) for row in exact_rows(run.failures_file, COLUMNS)]


def write_failures(run: Run, stage: str, failures: Iterable[Failure]) -> None:
    """Replace one stage's rows of failures.csv; the file is removed when no row is left."""
    kept = [failure for failure in read_failures(run) if failure.stage != stage]
    kept.extend(failures)
    if kept:
        write_rows(run.failures_file, COLUMNS, map(asdict, kept))
    else:
        run.failures_file.unlink(missing_ok=True)
