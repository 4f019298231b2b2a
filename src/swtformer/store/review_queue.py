"""review.csv: the confidence of each pseudo-mask of a run, the lowest first."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from swtformer.errors import SwtformerError
from swtformer.safe_names import safe_name
from swtformer.store.files import write_rows
from swtformer.store.run import Run


@dataclass(frozen=True)
class Review:
    """Confidence of one pseudo-mask: a row of review.csv.

    Attributes:
        id: record id.
        confidence: mean of certainty and agreement, in [0, 1].
        certainty: how far the best map is ahead of the others (`functional.pseudo_labels.certainty`).
        agreement: mean IoU between the best labels before and after refinement
            (`functional.pseudo_labels.agreement`); None if the maps were not refined.
        undecided: fraction of pixels with 255.
    """

    id: str
    confidence: float
    certainty: float
    agreement: float | None
    undecided: float


COLUMNS = tuple(item.name for item in fields(Review))
"""Columns of review.csv; an agreement of None is an empty cell."""


def write_reviews(run: Run, reviews: Iterable[Review]) -> None:
    """Write a run's review.csv atomically."""
    write_rows(run.review_file, COLUMNS, map(asdict, reviews))


def read_reviews(run: Run) -> tuple[Review, ...]:
    """Rows of a run's review.csv in its order, the lowest confidence first.

    Raises:
        SwtformerError: it is missing or damaged, with file and line.
    """
    path = run.review_file
    rows = exact_rows(path, COLUMNS)
    reviews = []
    for line, row in enumerate(rows, start=2):
        try:
            if safe_name(row["id"]) != row["id"]:
                raise ValueError(f"{row['id']!r} is not a plain image id")
            reviews.append(
                Review(
                    row["id"],
                    confidence=float(row["confidence"]),
                    certainty=float(row["certainty"]),
                    agreement=float(row["agreement"]) if row["agreement"] else None,
                    undecided=float(row["undecided"]),
                )
            )
        except ValueError as error:
            raise SwtformerError(
                f"{path}, line {line}: {error}; make it again with `swtformer pseudo-label`."
            ) from None
    return tuple(reviews)


def exact_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file that must have exactly these columns.

    Raises:
        SwtformerError: it cannot be read, or has other columns or incomplete rows, with file and line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            found = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SwtformerError(f"{path}: cannot be read: {error}.") from None
    if found != list(columns):
        raise SwtformerError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(found)}.")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise SwtformerError(f"{path}, line {line}: expected {len(columns)} values.")
    return rows
