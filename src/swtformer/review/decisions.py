"""Review of a run's masks by people: a queue, the least sure first, and decisions that last.

Pseudo-masks are looked at first; those that were corrected can be looked at once more, for themselves.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock, Timeout

from swtformer.errors import SwtformerError
from swtformer.store.corrections import CORRECTED, read_corrections
from swtformer.store.files import digest, write_text
from swtformer.store.pseudo_masks import making_of
from swtformer.store.review_queue import Review, exact_rows, read_reviews
from swtformer.store.run import Run

Decision = Literal["accept", "skip", "correct", "reject"]
"""accept: good enough to train on; skip: look at it another time; correct: to be corrected by hand; reject:
not to be trained on."""

Shown = Literal["open", "accept", "skip", "correct", "reject", "all"]
"""Which part of the queue: without a decision (open), with this one, or all of it."""

Reviewed = Literal["pseudo_masks", "corrected_masks"]
"""Which masks of a run: all that were made, or those that people changed since."""

COLUMNS = ("id", "decision", "decided_at", "masks")
"""Columns of decisions.csv: `decided_at` is ISO 8601 in UTC, `masks` the stamp of what was looked at."""

PATIENCE_SECONDS = 10.0
"""Longest wait for another process that writes a decision."""


@dataclass(frozen=True)
class ReviewItem:
    """One mask and what was decided about it.

    Attributes:
        review: its row of review.csv; of a corrected mask, that of the pseudo-mask before.
        stamp: equal while it is the same mask; decisions about an earlier one are void.
        decision: the last one; None where nobody has decided about this mask.
    """

    review: Review
    stamp: str
    decision: Decision | None


@dataclass(frozen=True)
class ReviewQueue:
    """Masks of a run, the least sure first.

    Attributes:
        masks: equal while the masks are the same.
        items: as in review.csv.
        reviewed: which masks they are.
    """

    masks: str
    items: tuple[ReviewItem, ...]
    reviewed: Reviewed = "pseudo_masks"

    def part(self, shown: Shown) -> tuple[ReviewItem, ...]:
        """The items that belong to a part of the queue, in its order."""
        if shown == "all":
            return self.items
        wanted = None if shown == "open" else shown
        return tuple(item for item in self.items if item.decision == wanted)

    def after(self, id: str | None, shown: Shown) -> ReviewItem | None:
        """The item of a part of the queue that comes behind `id`, else the first; None where it is empty.

        `id` itself need not belong to the part: a decision may just have taken it out.
        """
        part = self.part(shown)
        place = self._place(id)
        behind = (item for item in part if self._place(item.review.id) > place)
        return next(behind, part[0] if part else None)

    def before(self, id: str | None, shown: Shown) -> ReviewItem | None:
        """The item of a part of the queue that comes before `id`, else the last; None where it is empty."""
        part = self.part(shown)
        place = self._place(id)
        ahead = [item for item in part if self._place(item.review.id) < place]
        return (ahead or part or (None,))[-1]

    def item(self, id: str) -> ReviewItem | None:
        """The item of an id; None where there is none."""
        place = self._place(id)
        return None if place < 0 else self.items[place]

    def _place(self, id: str | None) -> int:
        return self._places.get(id, -1) if id is not None else -1

    @cached_property
    def _places(self) -> dict[str, int]:
        return {item.review.id: place for place, item in enumerate(self.items)}


def open_queue(run: Run, reviewed: Reviewed = "pseudo_masks") -> ReviewQueue:
    """Read review.csv and the decisions.

    Raises:
        SwtformerError: there are no such masks to review, or a file is damaged; it names file and line.
    """
    if not run.review_file.is_file() or not run.pseudo_masks_file.is_file():
        raise SwtformerError(
            f"{run.path} has no pseudo-masks to review; make them with `swtformer pseudo-label`."
        )
    reviews = read_reviews(run)
    if reviewed == "corrected_masks":
        stamps = _corrected(run)
        masks = digest(sorted(stamps.items()))
    else:
        masks = making_of(run.pseudo_masks)
        stamps = {review.id: masks for review in reviews}
    decided = {(row["id"], row["masks"]): row["decision"] for row in _read_decisions(run.decisions_file)}
    items = [
        ReviewItem(review, stamps[review.id], _decision(decided.get((review.id, stamps[review.id]))))
        for review in reviews
        if review.id in stamps
    ]
    return ReviewQueue(masks, tuple(items), reviewed)


def _corrected(run: Run) -> dict[str, str]:
    """Stamps of the run's corrected masks by id."""
    corrections = read_corrections(run.corrected_masks)
    if corrections is None or not corrections.corrected:
        raise SwtformerError(
            f"{run.path} has no corrected masks to review; bring masks that were corrected in another tool "
            f"back with `swtformer import {run.path} FILE`."
        )
    return corrections.stamps


def decide(
    run: Run, id: str, decision: Decision, *, masks: str, reviewed: Reviewed = "pseudo_masks"
) -> ReviewQueue:
    """Note a decision; an earlier one about the same image is replaced, all others are kept.

    What was decided about a pseudo-mask stays where its corrected mask is decided about, and the other way
    round.

    Several people, in one app or in several, may decide at the same time: the file is read again and written
    whole under a lock.

    Args:
        run: with masks to review.
        id: of an image in the queue.
        decision: what was decided.
        masks: `ReviewQueue.masks` of the queue that was looked at.
        reviewed: which masks these are.

    Returns:
        The queue as it is then, with everybody's decisions.

    Raises:
        SwtformerError: the masks were made anew since, the queue has no such image, or the file cannot be
            read or written.
    """
    with _alone(run):
        queue = open_queue(run, reviewed)
        if queue.masks != masks:
            what = "pseudo-masks were made anew" if reviewed == "pseudo_masks" else "corrected masks changed"
            raise SwtformerError(f"The {what} since this page was opened. Nothing was noted; reload it.")
        item = queue.item(id)
        if item is None:
            raise SwtformerError(f"{run.review_file} holds no image {id!r}.")
        kept = [
            row
            for row in _read_decisions(run.decisions_file)
            if row["id"] != id or row["masks"].startswith(CORRECTED) != item.stamp.startswith(CORRECTED)
        ]
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        kept.append({"id": id, "decision": decision, "decided_at": moment, "masks": item.stamp})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        write_text(run.decisions_file, text.getvalue())
        return open_queue(run, reviewed)


def decided_ids(run: Run, decision: Decision, reviewed: Reviewed = "pseudo_masks") -> frozenset[str]:
    """Ids of the images whose present mask has this decision.

    Raises:
        SwtformerError: there is none, or no queue.
    """
    found = frozenset(item.review.id for item in open_queue(run, reviewed).part(decision))
    if not found:
        what = "pseudo-mask" if reviewed == "pseudo_masks" else "corrected mask"
        raise SwtformerError(
            f"No {what} of {run.path} has the decision {decision!r}; decide about them in `swtformer app`."
        )
    return found


def rejected_ids(run: Run, masks: str) -> frozenset[str]:
    """Ids of the images whose masks nobody shall train on; empty where nothing was decided.

    Args:
        run: whose review it is.
        masks: which making of the pseudo-masks they are of (`making.making_of`).

    Raises:
        SwtformerError: decisions.csv is damaged.
    """
    return _ids(run, masks, "reject")


def rejected_corrections(run: Run, stamps: Mapping[str, str]) -> frozenset[str]:
    """Ids of the images whose corrected masks nobody shall train on.

    Args:
        run: whose review it is.
        stamps: `Corrections.stamps` of the masks.

    Raises:
        SwtformerError: decisions.csv is damaged.
    """
    rows = _read_decisions(run.decisions_file)
    return frozenset(
        row["id"] for row in rows if row["decision"] == "reject" and stamps.get(row["id"]) == row["masks"]
    )


def marked_ids(run: Run, masks: str) -> frozenset[str]:
    """Ids of the images whose masks, of this making, are to be corrected; empty where nothing was decided.

    Raises:
        SwtformerError: decisions.csv is damaged.
    """
    return _ids(run, masks, "correct")


def _ids(run: Run, masks: str, decision: Decision) -> frozenset[str]:
    rows = _read_decisions(run.decisions_file) if masks else []
    return frozenset(row["id"] for row in rows if (row["masks"], row["decision"]) == (masks, decision))


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Keep other threads and processes from deciding at the same moment."""
    lock = FileLock(run.pseudo_masks / ".decisions.lock", timeout=PATIENCE_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise SwtformerError(
            f"{run.decisions_file}: is being written by another process for too long; try again."
        ) from None
    except OSError as error:
        raise SwtformerError(
            f"{run.decisions_file}: cannot be written: {error.strerror or error}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _read_decisions(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    rows = exact_rows(path, COLUMNS)
    for line, row in enumerate(rows, start=2):
        if row["decision"] not in get_args(Decision):
            raise SwtformerError(
                f"{path}, line {line}: expected {', '.join(get_args(Decision))}, got {row['decision']!r}."
            )
    return rows


def _decision(text: str | None) -> Decision | None:
    return next((known for known in get_args(Decision) if known == text), None)
