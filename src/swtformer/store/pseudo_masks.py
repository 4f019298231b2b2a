"""Identifies the version of the pseudo-masks that a folder holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from swtformer.store.corrections import read_corrections
from swtformer.store.files import json_text, read_json_as
from swtformer.store.notes import DataNotes
from swtformer.store.run import PSEUDO_MASKS_FILE


def version_of(folder: Path) -> str:
    """Hex digits that change when `swtformer pseudo-label` makes other masks.

    Args:
        folder: of pseudo-masks, or of corrected masks, which have the version that they were corrected from.

    Returns:
        The version; empty if the folder holds other masks, or pseudo-masks that are not all made.

    Raises:
        SwtformerError: the notes beside the masks cannot be read.
    """
    corrections = read_corrections(folder)
    if corrections is not None:
        return corrections.version
    if not (folder / PSEUDO_MASKS_FILE).is_file():
        return ""
    # "made_from" holds the dates of the maps' files, and the data may have moved: the masks are the same.
    notes = read_json_as(folder / PSEUDO_MASKS_FILE, dict[str, Any])
    facts = {name: fact for name, fact in notes.items() if name not in {"made_from", *DataNotes.model_fields}}
    return hashlib.sha256(json_text(facts).encode(errors="backslashreplace")).hexdigest()[:16]
