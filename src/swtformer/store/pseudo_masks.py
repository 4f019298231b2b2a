"""Which making of a run's pseudo-masks masks are of: masks that were made anew are others."""

from __future__ import annotations

import hashlib
from pathlib import Path

from swtformer.store.corrections import read_corrections
from swtformer.store.files import json_text, read_json

FACTS = "pseudo_masks.json"
"""File beside pseudo-masks that says how they were made, once all are."""


def making_of(folder: Path) -> str:
    """What tells one making of pseudo-masks from another.

    Args:
        folder: of pseudo-masks, or of masks that were corrected; these are of the making that they were
            corrected from.

    Returns:
        Hex digits; empty where the masks are of no making, or not all made.

    Raises:
        SwtformerError: what lies beside the masks cannot be read.
    """
    corrections = read_corrections(folder)
    if corrections is not None:
        return corrections.making
    if not (folder / FACTS).is_file():
        return ""
    # Maps that were only copied, or made again as they were, make the same masks.
    facts = {key: value for key, value in read_json(folder / FACTS).items() if key != "made_from"}
    return hashlib.sha256(json_text(facts).encode()).hexdigest()[:16]
