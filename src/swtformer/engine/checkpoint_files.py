"""Files of training states: written atomically, checked by SHA-256, loaded without running code."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch

from swtformer.errors import CheckpointError
from swtformer.store.files import atomic_file, sha256, write_text

GENERATIONS = 2
"""Checkpoints that are kept; with two, one damaged file does not end a run."""

logger = logging.getLogger("swtformer")


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state beside its final name, then its digest, then rename.

    Args:
        path: the file.
        state: tensors and plain values.

    Raises:
        SwtformerError: the disk is full or read-only; the previous file stays.
    """
    buffer = io.BytesIO()  # torch's own writer hides a full disk and a signal behind an error of its own
    torch.save(state, buffer)
    with atomic_file(path) as stream:
        stream.write(buffer.getbuffer())
        write_text(digest_file(path), hashlib.sha256(buffer.getbuffer()).hexdigest() + "\n")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state onto the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    problem = damage(path)
    if problem:
        raise CheckpointError(problem)
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises whatever a hostile file makes it raise
        raise CheckpointError(
            f"{path}: is refused: it holds more than tensors and plain values, which could run code when "
            f"it is loaded, or is not a checkpoint ({type(error).__name__})."
        ) from None


def remove_checkpoint(path: Path) -> None:
    """Remove a state and its digest."""
    path.unlink(missing_ok=True)
    digest_file(path).unlink(missing_ok=True)


def epoch_file(folder: Path, epoch: int) -> Path:
    """File of the state after `epoch` epochs; `newest_checkpoint` looks for such names."""
    return folder / f"epoch-{epoch:04d}.ckpt"


def digest_file(path: Path) -> Path:
    """File that holds a checkpoint's SHA-256."""
    return path.with_name(path.name + ".sha256")


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint file; None where it matches its digest."""
    if not path.is_file():
        return f"{path}: does not exist."
    if not digest_file(path).is_file():
        return f"{path}: its digest {digest_file(path).name} is missing, so it cannot be checked."
    if sha256(path).encode() != digest_file(path).read_bytes().strip():
        return f"{path}: is damaged (its SHA-256 differs from the one written with it)."
    return None


def remove_older(folder: Path, pattern: str = "epoch-*.ckpt") -> None:
    """Remove all states whose names match a pattern, except the newest `GENERATIONS`."""
    for path in sorted(folder.glob(pattern), reverse=True)[GENERATIONS:]:
        remove_checkpoint(path)


def newest_checkpoint(folder: Path) -> Path:
    """The newest undamaged checkpoint of a folder; damaged ones are skipped with a warning.

    Raises:
        CheckpointError: there is no checkpoint, or all are damaged.
    """
    problems: list[str] = []
    for path in sorted(folder.glob("epoch-*.ckpt"), reverse=True):
        problem = damage(path)
        if problem is None:
            if problems:
                logger.warning("%s Resuming from %s, the checkpoint before it.", problems[-1], path.name)
            return path
        problems.append(problem)
    if problems:
        raise CheckpointError("All checkpoints are damaged:\n" + "\n".join(f"  {line}" for line in problems))
    raise CheckpointError(f"{folder}: holds no checkpoint to resume from.")
