"""What is noted beside each shard of results: what it was made from, and which images are missing in it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from swtformer.store.notes import Notes
from swtformer.store.remote import RemoteFolder

ENDING = ".json"
"""What the name of a shard's notes has after that of the shard."""


class SkippedImage(Notes):
    """An image of a shard without a result."""

    key: str
    reason: str


class ShardNotes(Notes):
    """<name of the shard>.json; it is written after the shard, so where it is, the shard is whole."""

    made_by: str
    """Fingerprint of model, settings and input."""
    size: int = 0
    """Bytes of the shard."""
    images: int = 0
    """Images with results."""
    skipped: tuple[SkippedImage, ...] = ()
    fault: str = ""
    """Why there is no shard; it is tried again the next time."""


def is_noted(folder: RemoteFolder, names: Iterable[str]) -> bool:
    """Whether there are notes of all these shards, of whatever they were made from."""
    sizes = folder.sizes()
    return all(f"{name}{ENDING}" in sizes for name in names)


def shard_notes(folder: RemoteFolder, made_by: dict[str, str]) -> dict[str, ShardNotes]:
    """Notes, by name, of the shards that are whole and made from this, and of those with a fault.

    Args:
        folder: of the results.
        made_by: fingerprint of each shard, by its name.
    """
    sizes = folder.sizes()
    there = [name for name in made_by if f"{name}{ENDING}" in sizes]
    found: dict[str, ShardNotes] = {}
    for name, content in zip(there, folder.read([f"{name}{ENDING}" for name in there]), strict=True):
        try:
            notes = ShardNotes.model_validate(json.loads(content))
        except ValueError:
            continue  # damaged: the shard is made again
        if notes.made_by == made_by[name] and (notes.fault or notes.size == sizes.get(name)):
            found[name] = notes
    return found
