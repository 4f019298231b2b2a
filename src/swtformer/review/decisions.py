"""Review of a run's masks: a queue, the least confident mask first, and decisions.

Pseudo-masks are reviewed first. Those that were corrected since have a queue of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from swtformer.errors import SwtformerError
from swtformer.store.corrections import read_corrections
from swtformer.store.files import exact_rows, write_rows
from swtformer.store.pseudo_masks import version_of
from swtformer.store.review_queue import Review, read_reviews
from swtformer.store.run import Run

Decision = Literal["accept", "skip", "correct", "reject"]
"""accept: good enough to train on; skip: decide later; correct: to be corrected by hand; reject: not to be
trained on."""

Shown = Literal["open", "accept", "skip", "correct", "reject", "all"]
"""Part of the queue: masks without a decision (open), with this decision, or all."""

Reviewed = Literal["pseudo_masks", "corrected_masks"]
"""Which masks of a run are reviewed: the pseudo-masks, or those that were corrected."""

COLUMNS = ("id", "decision", "decided_at", "version")
"""Columns of decisions.csv: `decided_at` is ISO 8601 in UTC, `version` that of the mask."""

PATIENCE_SECONDS = 10.0
"""Longest wait for another process that writes a decision."""


@dataclass(frozen=True)
class ReviewItem:
    """One mask and the decision about it.

    Attributes:
        review: its row of review.csv; for a corrected mask, the row of the original pseudo-mask.
        version: changes when the mask does; decisions hold for one version.
        decision: None if there is none about this version.
    """

    review: Review
    version: str
    decision: Decision | None


@dataclass(frozen=True)
class ReviewQueue:
    """Masks of a run, the least confident first.

    Attributes:
        items: in the order of review.csv.
        reviewed: which masks they are.
    """

    items: tuple[ReviewItem, ...]
    reviewed: Reviewed = "pseudo_masks"

    def part(self, shown: Shown) -> tuple[ReviewItem, ...]:
        """The items of a part of the queue, in its order."""
        wanted = None if shown == "open" else shown
        return tuple(item for item in self.items if shown == "all" or item.decision == wanted)

    def after(self, id: str | None, shown: Shown) -> ReviewItem | None:
        """The next item of a part of the queue after `id`, or the first; None if the part is empty.

        `id` need not belong to the part: a decision may just have removed it.
        """
        part = self.part(shown)
        behind = [item for item in part if self._place(item.review.id) > self._place(id)]
        return (behind or part or (None,))[0]

    def before(self, id: str | None, shown: Shown) -> ReviewItem | None:
        """The item of a part of the queue before `id`, or the last; None if the part is empty."""
        part = self.part(shown)
        ahead = [item for item in part if self._place(item.review.id) < self._place(id)]
        return (ahead or part or (None,))[-1]

    def item(self, id: str) -> ReviewItem | None:
        """The item of an id; None if there is none."""
        place = self._place(id)
        return None if place < 0 else self.items[place]

    def _place(self, id: str | None) -> int:
        return -1 if id is None else self._places.get(id, -1)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {item.review.id: place for place, item in enumerate(self.items)}


def open_queue(run: Run, reviewed: Reviewed = "pseudo_masks") -> ReviewQueue:
    """Read review.csv and the decisions.

    Raises:
        SwtformerError: there are no such masks to review, or a file is damaged, with file and line.
    """
    if not run.review_file.is_file() or not run.pseudo_masks_file.is_file():
        raise SwtformerError(
            f"{run.path} has no pseudo-masks to review; make them with `swtformer pseudo-label`."
        )
    reviews = read_reviews(run)
    if reviewed == "corrected_masks":
        versions = _corrected(run)
    else:
        versions = dict.fromkeys((review.id for review in reviews), version_of(run.pseudo_masks))
    decisions: dict[tuple[str, str], Any] = {
        (row["id"], row["version"]): row["decision"] for row in _read(run.decisions_file)
    }
    items = [
        ReviewItem(review, version, decisions.get((review.id, version)))
        for review in reviews
        if (version := versions.get(review.id)) is not None
    ]
    return ReviewQueue(tuple(items), reviewed)


def _corrected(run: Run) -> dict[str, str]:
    """Versions of the run's corrected masks by id."""
    corrections = read_corrections(run.corrected_masks)
    if corrections is None or not corrections.corrected:
        raise SwtformerError(
            f"{run.path} has no corrected masks to review; correct masks in another tool, then `swtformer "
            f"import {run.path} FILE`."
        )
    return corrections.corrected


def decide(
    run: Run, id: str, decision: Decision, *, version: str, reviewed: Reviewed = "pseudo_masks"
) -> ReviewQueue:
    """Write a decision; it replaces an earlier one about the same version of the mask.

    Several people may decide at the same time, in one app or in several: the file is read and written as a
    whole under a lock.

    Args:
        run: with masks to review.
        id: of an image in the queue.
        decision: what was decided.
        version: `ReviewItem.version` of the mask that was looked at.
        reviewed: which masks of the run.

    Returns:
        The current queue, with everybody's decisions.

    Raises:
        SwtformerError: the mask has changed since, the queue does not have the image, or the file cannot be
            read or written.
    """
    with _locked(run):
        item = open_queue(run, reviewed).item(id)
        if item is None:
            raise SwtformerError(f"{run.review_file}: there is no image {id!r} to decide about.")
        if item.version != version:
            raise SwtformerError(
                "The mask has changed since this page was opened, so the decision was not saved. Reload the "
                "page."
            )
        rows = [row for row in _read(run.decisions_file) if (row["id"], row["version"]) != (id, version)]
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        rows.append({"id": id, "decision": decision, "decided_at": moment, "version": version})
        write_rows(run.decisions_file, COLUMNS, rows)
        return open_queue(run, reviewed)


def decided_ids(run: Run, decision: Decision, reviewed: Reviewed = "pseudo_masks") -> frozenset[str]:
    """Ids of the images whose current mask has this decision.

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


def rejected_ids(run: Run, masks: Path) -> frozenset[str]:
    """Ids of the masks that were rejected; empty if nothing was decided.

    Args:
        run: whose review it is.
        masks: its folder of pseudo-masks or corrected masks. Of the latter, decisions about pseudo-masks
            hold for those that were not corrected.

    Raises:
        SwtformerError: decisions.csv or corrections.json is damaged.
    """
    version, corrections = version_of(masks), read_corrections(masks)
    corrected = {} if corrections is None else corrections.corrected
    return frozenset(
        row["id"]
        for row in _read(run.decisions_file)
        if row["decision"] == "reject" and row["version"] == corrected.get(row["id"], version)
    )


def add_rejections(run: Run, versions: Mapping[str, str]) -> None:
    """Reject masks that nobody has decided about.

    Args:
        run: with pseudo-masks.
        versions: version of each mask by id.

    Raises:
        SwtformerError: decisions.csv cannot be read or written.
    """
    if not versions:
        return
    with _locked(run):
        rows = _read(run.decisions_file)
        decided = {(row["id"], row["version"]) for row in rows}
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        rows += [
            {"id": id, "decision": "reject", "decided_at": moment, "version": version}
            for id, version in sorted(versions.items())
            if (id, version) not in decided
        ]
        write_rows(run.decisions_file, COLUMNS, rows)


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Keep other threads and processes from writing decisions."""
    lock = FileLock(run.pseudo_masks / ".decisions.lock", timeout=PATIENCE_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise SwtformerError(
            f"{run.decisions_file}: another process has been writing it for too long; try again."
        ) from None
    except OSError as error:
        raise SwtformerError(
            f"{run.decisions_file}: cannot be written: {error.strerror or error}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    rows = exact_rows(path, COLUMNS)
    for line, row in enumerate(rows, start=2):
        if row["decision"] not in get_args(Decision):
            raise SwtformerError(
                f"{path}, line {line}: expected {', '.join(get_args(Decision))}, got {row['decision']!r}."
            )
    return rows
