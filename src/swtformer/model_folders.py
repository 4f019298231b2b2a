"""Where a saved model lies; light enough for the command line to look before it imports torch."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from swtformer.errors import CheckpointError

CONFIG = "config.json"
"""File of a saved model that says what it is."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def holds_model(run: Path) -> bool:
    """Whether a folder that is laid out as a run has a finished model."""
    return (run / "model" / CONFIG).is_file()


def local_model_folder(source: str | Path) -> Path | None:
    """The folder on this machine that holds a model.

    Args:
        source: a model folder, a run folder (its `model` folder is meant), or a Hugging Face hub id
            "owner/name". What looks like a path is never taken for an id: one that exists or whose parent
            folder does, or that is no two names with a slash between.

    Returns:
        None where a hub id is meant.

    Raises:
        CheckpointError: there is no such folder, or it holds no model.
    """
    folder = Path(source)
    if holds_model(folder):
        return folder / "model"
    if (folder / CONFIG).is_file():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{folder}: holds no model ({CONFIG} is missing); name a model folder or a finished run."
        )
    if folder.parent.exists() or not _HUB_ID.fullmatch(str(source)):
        raise CheckpointError(f"{folder}: does not exist.{_nearest_folder(folder)}")
    return None


def _nearest_folder(folder: Path) -> str:
    """Ask whether a folder beside it was meant whose name is nearly the same."""
    if not folder.parent.is_dir() or not os.access(folder.parent, os.R_OK):
        return ""
    beside = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    close = difflib.get_close_matches(folder.name, beside, n=1)
    return f" Did you mean {str(folder.parent / close[0])!r}?" if close else ""
