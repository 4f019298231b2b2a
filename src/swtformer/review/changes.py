"""What a mask from another tool changes in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from swtformer.exporters import Correction, ExchangeFormat
from swtformer.exporters.fingerprints import fingerprint
from swtformer.exporters.reading import Ignored

ExportedFrom = Literal["current", "original", "other", "unknown"]
"""Which mask an export wrote: the run's before this import, the run's before any correction, one that the run
does not have; "unknown" if the file does not say."""


@dataclass(frozen=True)
class Change:
    """One mask of a run after an import.

    Attributes:
        labels: (H, W) uint8.
        pixels: number of pixels that differ from the mask before.
        exported_from: which mask was exported.
    """

    labels: np.ndarray
    pixels: int
    exported_from: ExportedFrom


def change(
    correction: Correction, current: np.ndarray, original: np.ndarray, format: ExchangeFormat
) -> Change:
    """Take from a mask what differs from its export; a mask that is as exported changes nothing.

    Pixels that are as exported keep the run's value: the format may not hold it (255 in YOLO).

    Args:
        correction: a mask of the file.
        current: (H, W) uint8; the run's mask before the import.
        original: (H, W) uint8; the run's mask before any correction; `current` itself if there was none.
        format: of the file.
    """
    exported = correction.exported
    # A fingerprint also tells what the export did with 255. Without one, the labels of the file do.
    ways = (correction.ignored,) if exported is None else get_args(Ignored)
    exports = {
        fingerprint(format.round_trip(mask, ignored=ignored)): (mask, ignored)
        for ignored in ways
        for mask in (original, current)
    }
    exported_from: ExportedFrom
    if exported is None:
        exported_from = "unknown"
    elif exported not in exports:
        exported_from = "other"
    else:
        exported_from = "current" if exports[exported][0] is current else "original"
    returned = fingerprint(correction.labels)
    if returned in (exports if exported is None else {exported}):
        return Change(current, 0, exported_from)
    base, ignored = exports.get(exported or "", (current, correction.ignored))
    is_untouched = correction.labels == format.round_trip(base, ignored=ignored)
    labels = np.where(is_untouched, base, correction.labels)
    return Change(labels, int(np.count_nonzero(labels != current)), exported_from)
