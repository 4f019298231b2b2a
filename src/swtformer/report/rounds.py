"""The rounds of a run: what the masks of each came to, and where they changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from swtformer.datasets.mask_images import read_mask
from swtformer.errors import SwtformerError
from swtformer.label_values import IGNORED
from swtformer.store.models import own_networks
from swtformer.store.notes import PseudoMaskNotes, read_notes
from swtformer.store.review_queue import read_reviews
from swtformer.store.run import Run
from swtformer.store.scores import Scores, read_scores

COMPARED = 500
"""Images whose masks of two rounds are compared; of more, every nth is taken."""


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        number: from 1.
        folder: of the round.
        undecided: part of the pixels of its pseudo-masks that are 255.
        confidence: mean over its pseudo-masks.
        changed: part of the pixels, decided in both, that have another label than in the round before; None
            for the first round.
        pseudo_masks: scores of the pseudo-masks; None where `run` has not scored them.
        network: scores of the network's masks; None likewise.
    """

    number: int
    folder: str
    undecided: float
    confidence: float | None
    changed: float | None
    pseudo_masks: Scores | None
    network: Scores | None


@dataclass(frozen=True)
class Rounds:
    """All rounds that have pseudo-masks, if there are several, and the changes of each image's last mask.

    Attributes:
        rows: the rounds in order; empty if there is only one.
        changed: by image id, share of the pixels whose label the last round changed.
    """

    rows: tuple[Round, ...] = ()
    changed: Mapping[str, float] | None = None


def read_rounds(run: Run) -> Rounds:
    """Read what the rounds of a run hold.

    Raises:
        SwtformerError: a file is damaged.
    """
    runs = list(takewhile(lambda one: one.pseudo_masks_file.is_file(), (run, *run.rounds())))
    if len(runs) < 2:
        return Rounds()
    rows: list[Round] = []
    changes: dict[str, float] = {}
    for number, one in enumerate(runs, start=1):
        changes = {} if number == 1 else _changes(runs[number - 2], one)
        notes = read_notes(one.pseudo_masks_file, PseudoMaskNotes)
        reviews = read_reviews(one) if one.review_file.is_file() else ()
        networks = own_networks(one)
        rows.append(
            Round(
                number,
                "" if number == 1 else one.path.name,
                undecided=0.0 if notes is None else notes.undecided,
                confidence=float(np.mean([row.confidence for row in reviews])) if reviews else None,
                changed=float(np.mean(list(changes.values()))) if changes else None,
                pseudo_masks=read_scores(one.pseudo_mask_scores_file),
                network=read_scores(Run(networks[-1].predictions).scores_file) if networks else None,
            )
        )
    return Rounds(tuple(rows), changes)


def _changes(before: Run, after: Run) -> dict[str, float]:
    """For each image, the part of its pixels, decided in both rounds, whose label differs."""
    ids = [review.id for review in read_reviews(after)] if after.review_file.is_file() else []
    changes = {}
    for id in sorted(ids)[:: -(-len(ids) // COMPARED) or 1]:
        try:
            old, new = (read_mask(run.pseudo_mask_file(id)) for run in (before, after))
        except SwtformerError:
            continue  # its tile says why
        if old.shape == new.shape:
            both = (old != IGNORED) & (new != IGNORED)
            changes[id] = float((old != new)[both].mean()) if both.any() else 0.0
    return changes
