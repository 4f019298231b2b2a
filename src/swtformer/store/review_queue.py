"""review.csv: the confidence of each pseudo-mask of a run, the lowest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from swtformer.errors import SwtformerError
from swtformer.safe_names import safe_name
from swtformer.store.files import exact_rows, write_rows
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
