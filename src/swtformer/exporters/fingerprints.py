"""Fingerprints of exported masks, by which an import recognises the masks that nobody changed.

Folders and zip files hold them as swtformer.json, JSON formats in a field of their own. A tool may drop them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from swtformer.datasets.rows import parse_json
from swtformer.errors import DataError
from swtformer.exporters.archive import Tree, read_text

FILE = "swtformer.json"
"""File in a folder or zip file that holds the fingerprints by image id."""

KEY = "swtformer"
"""Field of JSON formats that holds the same."""


def fingerprint(labels: np.ndarray) -> str:
    """16 hex digits that are the same for the same (H, W) uint8 labels."""
    return hashlib.sha256(f"{labels.shape} ".encode() + labels.tobytes()).hexdigest()[:16]


def fingerprints_text(fingerprints: Mapping[str, str]) -> str:
    """Content of swtformer.json."""
    return json.dumps(fingerprints, indent=1, ensure_ascii=False) + "\n"


def parsed_fingerprints(value: Any, source: str) -> dict[str, str]:
    """Fingerprints by image id; None, where a tool dropped them, gives none.

    Raises:
        DataError: the value is not what an export writes.
    """
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise DataError(
            f"{source}: expected the fingerprints that an export writes; remove them to import without."
        )
    return value


def read_fingerprints(tree: Tree, root: str) -> dict[str, str]:
    """Fingerprints in a folder or zip file by image id; empty where it has no swtformer.json.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    name = root + FILE
    if name not in tree.names:
        return {}
    try:
        content = parse_json(read_text(tree, name))
    except ValueError:
        content = ()
    return parsed_fingerprints(content, f"{tree.path}: {name}")
