"""One mask that came back and the run's own made one, so that nobody's corrections are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from swtformer.exporters import Correction
from swtformer.exporters.provenance import fingerprint
from swtformer.label_values import IGNORED


@dataclass(frozen=True)
class Standing:
    """What a run has of one image.

    Attributes:
        labels: (H, W) uint8 mask before the import.
        older: (H, W) uint8 masks that may have been exported instead, as far as they are still there: the
            original that lies where this one came from, then corrected masks that `labels` supersede. None
            where the mask was never corrected.
        making: which making of the pseudo-masks `labels` are of (`making.making_of`); may be empty. The
            original may be of a later one.
    """

    labels: np.ndarray
    older: tuple[np.ndarray, ...] | None
    making: str


@dataclass(frozen=True)
class Merged:
    """One mask after an import.

    Attributes:
        labels: (H, W) uint8.
        changed: pixels that differ from the mask before.
        conflicts: pixels that were corrected since the export, and otherwise in the file, whose value was
            taken. Where the export's note names no mask that is known, any correction may have come since.
        is_emptied: whether nothing is drawn any more in a mask that had something.
        is_outdated: whether the file lacks earlier corrections, which are kept.
        is_foreign: whether it was changed and exported from another making of the pseudo-masks, so that
            what nobody touched in it cannot be told from corrections.
        undecided: pixels that would have come back as 255, had nobody touched them.
        stripped: those of them that came back as background.
    """

    labels: np.ndarray
    changed: int
    conflicts: int = 0
    is_emptied: bool = False
    is_outdated: bool = False
    is_foreign: bool = False
    undecided: int = 0
    stripped: int = 0


def merge(
    correction: Correction, standing: Standing, untouched: Callable[[np.ndarray], np.ndarray]
) -> Merged:
    """Take what was changed since the export, and keep the rest.

    What was exported is the run's present mask or, where that is a corrected one, perhaps the original or a
    corrected one that it superseded. The export's note tells; where a tool dropped it, the mask is taken for
    exported from the one that it has most in common with. Three ways meet then: a pixel that came back as it
    was exported keeps the run's value, and any other is taken.

    Args:
        correction: what came back.
        standing: what the run has, in the same size.
        untouched: from a mask to what comes back of it where nobody touches it (`Exporter.as_it_returns`).
    """
    returned, note = correction.labels, correction.provenance
    before, is_corrected = standing.labels, standing.older is not None
    shown = untouched(before)
    older = [untouched(mask) for mask in standing.older or ()]
    known = {fingerprint(mask): mask for mask in (*older, shown)}
    is_told = note is not None and note.untouched in known
    is_foreign = note is not None and note.making not in ("", standing.making)
    if (
        note is not None
        and not is_told
        and (is_foreign or (note.making and is_corrected))
        and note.untouched == fingerprint(returned)
    ):  # nobody touched what the run has no more: another making, or an earlier correction
        return Merged(before, 0, is_outdated=is_corrected)
    if note is not None and is_told:
        exported = known[note.untouched]
    else:
        exported = shown if is_foreign else _nearest(returned, (*older, shown))
    labels = np.where((returned == exported) | (returned == shown), before, returned)
    corrected_since = shown != exported
    at_stake = corrected_since
    if note is not None and not is_told and not is_foreign:
        at_stake = np.any([shown != mask for mask in older], axis=0) if older else np.array(is_corrected)
    changed = labels != before
    undecided = shown == IGNORED
    return Merged(
        labels,
        changed=int(np.count_nonzero(changed)),
        conflicts=int(np.count_nonzero(changed & at_stake)),
        is_emptied=bool(exported.any() and not returned.any()),
        is_outdated=bool((corrected_since & (returned == exported)).any()),
        is_foreign=is_foreign and not is_told and bool(changed.any()),
        undecided=int(np.count_nonzero(undecided)),
        stripped=int(np.count_nonzero(undecided & (returned == 0))),
    )


def _nearest(returned: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """Which of some masks something was exported from: the one of most equal pixels, the first of such."""
    return max(masks, key=lambda mask: int(np.count_nonzero(returned == mask)))
