"""Models that make maps, saved to a folder and loaded again."""

from __future__ import annotations

import os
from pathlib import Path

from swtformer.methods.base import Method


def save_pretrained(model: Method, folder: str | os.PathLike[str]) -> Path:
    """Write a model's settings, class names and weights; `Method.save_pretrained` adds a model card.

    Args:
        model: the model; its device and mode do not matter.
        folder: created if it is missing; its files are replaced atomically.

    Returns:
        The folder.
    """
    return model.write(folder)


def from_pretrained(source: str | os.PathLike[str]) -> Method:
    """Load a model that makes maps, in eval mode on the CPU.

    Args:
        source: a run, a model folder, or a hub id "owner/name".

    Raises:
        CheckpointError: there is no such model, it is a segmentation network, or it is damaged.
        SwtformerError: the hub cannot be reached or has no such model.
    """
    return Method.from_pretrained(source)
