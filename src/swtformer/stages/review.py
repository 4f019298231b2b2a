"""Review of a run's pseudo-masks by people: a queue, the least sure first, and decisions that last."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock, Timeout

from swtformer.errors import SwtformerError
from swtformer.reviews import Review, exact_rows, read_reviews
from swtformer.run import Run, write_text
from swtformer.stages.making import making_of

Decision = Literal["accept", "skip", "correct", "reject"]
"""accept: good enough to train on; skip: look at it another time; correct: to be corrected by hand; reject:
not to be trained on."""

Shown = Literal["open", "accept", "skip", "correct", "reject", "all"]
"""Which part of the queue: without a decision (open), with this one, or all of it."""

COLUMNS = ("id", "decision", "decided_at", "masks")
"""Columns of decisions.csv: `decided_at` is ISO 8601 in UTC, `masks` tells which making was looked at."""

PATIENCE_SECONDS = 10.0
"""Longest wait for another process that writes a decision."""


@dataclass(frozen=True)
class ReviewItem:
    """One pseudo-mask and what was decided about it.

    Attributes:
        review: its row of review.csv.
        decision: the last one; None where nobody has decided about this making of the mask.
    """

    review: Review
    decision: Decision | None


@dataclass(frozen=True)
class ReviewQueue:
    """All pseudo-masks of a run, the least sure first.

    Attributes:
        masks: equal while the pseudo-masks are of one making; decisions about an earlier one are void.
        items: as in review.csv.
    """

    masks: str
    items: tuple[ReviewItem, ...]

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


def open_queue(run: Run) -> ReviewQueue:
    """Read review.csv and the decisions.

    Raises:
        SwtformerError: there are no pseudo-masks to review, or a file is damaged; it names file and line.
    """
    if not run.review_file.is_file() or not run.pseudo_masks_file.is_file():
        raise SwtformerError(
            f"{run.path} has no pseudo-masks to review; make them with `swtformer pseudo-label`."
        )
    masks = making_of(run.pseudo_masks)
    decided = {
        row["id"]: row["decision"] for row in _read_decisions(run.decisions_file) if row["masks"] == masks
    }
    items = [ReviewItem(review, _decision(decided.get(review.id))) for review in read_reviews(run)]
    return ReviewQueue(masks, tuple(items))


def decide(run: Run, id: str, decision: Decision, *, masks: str) -> ReviewQueue:
    """Note a decision; an earlier one about the same image is replaced, all others are kept.

    Several people, in one app or in several, may decide at the same time: the file is read again and written
    whole under a lock.

    Args:
        run: with pseudo-masks.
        id: of an image in the queue.
        decision: what was decided.
        masks: `ReviewQueue.masks` of the queue that was looked at.

    Returns:
        The queue as it is then, with everybody's decisions.

    Raises:
        SwtformerError: the masks were made anew since, the queue has no such image, or the file cannot be
            read or written.
    """
    with _alone(run):
        queue = open_queue(run)
        if queue.masks != masks:
            raise SwtformerError(
                "The pseudo-masks were made anew since this page was opened. Nothing was noted; reload it."
            )
        if queue.item(id) is None:
            raise SwtformerError(f"{run.review_file} holds no image {id!r}.")
        kept = [row for row in _read_decisions(run.decisions_file) if row["id"] != id]
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        kept.append({"id": id, "decision": decision, "decided_at": moment, "masks": masks})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
        write_text(run.decisions_file, text.getvalue())
        return open_queue(run)


def decided_ids(run: Run, decision: Decision) -> frozenset[str]:
    """Ids of the images whose present pseudo-mask has this decision.

    Raises:
        SwtformerError: there is none, or no queue.
    """
    found = frozenset(item.review.id for item in open_queue(run).part(decision))
    if not found:
        raise SwtformerError(
            f"No pseudo-mask of {run.path} has the decision {decision!r}; decide about them in "
            "`swtformer app`."
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
