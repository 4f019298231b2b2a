"""What an export notes about each of its masks, so that an import can tell what people changed in them.

Folders and zip files hold it as swtformer.json, JSON formats in a field of their own. Tools may drop it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from swtformer.errors import DataError
from swtformer.exporters.archive import Tree, read_text

Ignored = Literal["keep", "drop"]
"""What an export did with 255: kept it, or made it background."""

NOTES_FILE = "swtformer.json"
"""Notes of a folder or zip file, by image id."""

NOTES_KEY = "swtformer"
"""Field of JSON formats that holds the same."""


@dataclass(frozen=True)
class Provenance:
    """Where one exported mask comes from.

    Attributes:
        making: which making of a run's pseudo-masks it is of, or was corrected from; may be empty.
        ignored: what became of 255.
        untouched: `fingerprint` of the labels that come back where nobody touched the mask.
    """

    making: str
    ignored: Ignored
    untouched: str


def fingerprint(labels: np.ndarray) -> str:
    """16 hex digits that are equal for equal (H, W) uint8 labels."""
    return hashlib.sha256(f"{labels.shape} ".encode() + labels.tobytes()).hexdigest()[:16]


def notes(provenances: Mapping[str, Provenance]) -> dict[str, dict[str, str]]:
    """Notes on masks by image id, as JSON holds them."""
    return {id: asdict(provenance) for id, provenance in provenances.items()}


def notes_text(provenances: Mapping[str, Provenance]) -> str:
    """Content of swtformer.json."""
    return json.dumps(notes(provenances), indent=1, ensure_ascii=False) + "\n"


def parsed_notes(value: Any, source: str) -> dict[str, Provenance]:
    """Provenances by image id; the ids come from outside and name no file before they are matched.

    Args:
        value: what `notes` made; None, where a tool dropped it, holds none.
        source: for messages.

    Raises:
        DataError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _not_ours(source)
    return {id: parsed_note(item, source) for id, item in value.items()}


def parsed_note(value: Any, source: str) -> Provenance:
    """One mask's provenance.

    Raises:
        DataError: it is something else than an export writes.
    """
    try:
        found = Provenance(**value)
    except TypeError:
        raise _not_ours(source) from None
    texts = (found.making, found.ignored, found.untouched)
    if not all(isinstance(text, str) for text in texts) or found.ignored not in get_args(Ignored):
        raise _not_ours(source)
    return found


def read_notes(tree: Tree, root: str) -> dict[str, Provenance]:
    """Provenances that a folder or zip file holds, by image id.

    Raises:
        DataError: swtformer.json is damaged, or something else.
    """
    name = root + NOTES_FILE
    if name not in tree.names:
        return {}
    source = f"{tree.path}: {name}"
    try:
        return parsed_notes(json.loads(read_text(tree, name)), source)
    except (ValueError, RecursionError):
        raise _not_ours(source) from None


def _not_ours(source: str) -> DataError:
    return DataError(
        f"{source}: the notes are not what `swtformer export` writes; take them out to import without."
    )
