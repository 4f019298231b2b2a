"""Training checkpoints: whole or absent, checked by SHA-256, loaded without running code."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from swtformer.errors import CheckpointError, NonFiniteError
from swtformer.run import atomic_file, write_text

GENERATIONS = 2
"""Checkpoints that are kept, so that one damaged file does not end a run."""

logger = logging.getLogger("swtformer")


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its final name, then its digest, then renames; reads only what matches."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            NonFiniteError: a weight is nan or infinite; nothing is written.
            SwtformerError: the disk is full or read-only; what was there before stays.
        """
        for name, value in checkpoint["state_dict"].items():
            if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteError(
                    f"The weights {name} are not finite at step {checkpoint['global_step']}; "
                    "the last checkpoint is untouched. Try a smaller --train.learning_rate."
                )
        path = Path(path)
        with atomic_file(path) as stream:
            hashing = _HashingStream(stream)
            torch.save(checkpoint, cast("IO[bytes]", hashing))
            write_text(digest_file(path), hashing.digest.hexdigest() + "\n")

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            CheckpointError: it is damaged, or holds more than tensors and plain values.
        """
        path = Path(path)
        problem = damage(path)
        if problem:
            raise CheckpointError(problem)
        try:
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load raises whatever a hostile file makes it raise
            raise CheckpointError(f"{path}: cannot be loaded safely: {error}") from None

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and its digest."""
        Path(path).unlink(missing_ok=True)
        digest_file(Path(path)).unlink(missing_ok=True)


class _HashingStream:
    """A binary stream that knows the SHA-256 of what went through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self.digest.update(data)
        return self.stream.write(data)

    def flush(self) -> None:
        """Flush the stream below."""
        self.stream.flush()


def digest_file(path: Path) -> Path:
    """File that holds a checkpoint's SHA-256."""
    return path.with_name(path.name + ".sha256")


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint file, or None where its bytes match their digest."""
    if not path.is_file():
        return f"{path}: does not exist."
    if not digest_file(path).is_file():
        return f"{path}: its digest {digest_file(path).name} is missing, so it cannot be checked."
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != digest_file(path).read_text(encoding="utf-8").strip():
        return f"{path}: is damaged (its SHA-256 is not the one that was written with it)."
    return None


def newest_checkpoint(folder: Path) -> Path:
    """The newest whole checkpoint of a run; damaged ones are passed over with a warning.

    Raises:
        CheckpointError: there is none, or all are damaged.
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
        raise CheckpointError("No checkpoint is whole:\n" + "\n".join(f"  {line}" for line in problems))
    raise CheckpointError(f"{folder}: holds no checkpoint to resume from.")


class EpochCheckpoints(Checkpoint):
    """Saves after every epoch, keeps the last two and, by a validation score, the best.

    Args:
        folder: where the checkpoints go.
        monitored: name of the score; higher is better.
    """

    def __init__(self, folder: Path, monitored: str = "validation_map_per_class") -> None:
        self.folder = folder
        self.monitored = monitored
        self.best: float | None = None
        self.best_file: str | None = None
        self.is_finished = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the state of the epoch that just ended."""
        value = trainer.callback_metrics.get(self.monitored)
        is_best = value is not None and (self.best is None or float(value) > self.best)
        epoch = trainer.current_epoch + 1
        # Early stopping decides before checkpoints are written.
        self.is_finished = trainer.should_stop or epoch == trainer.max_epochs
        if is_best:
            self.best = float(cast(Tensor, value))
            self.best_file = f"best-{epoch:04d}.ckpt"
            # Before the epoch's own file: whoever resumes from that one finds the best it speaks of.
            trainer.save_checkpoint(self.folder / self.best_file)
        trainer.save_checkpoint(self.folder / f"epoch-{epoch:04d}.ckpt")
        if trainer.is_global_zero:
            storage = AtomicCheckpointIO()
            for path in sorted(self.folder.glob("epoch-*.ckpt"), reverse=True)[GENERATIONS:]:
                storage.remove_checkpoint(path)
            for path in sorted(self.folder.glob("best-*.ckpt"), reverse=True)[GENERATIONS:]:
                storage.remove_checkpoint(path)

    def state_dict(self) -> dict[str, Any]:
        """Best validation score so far, and whether the training ended with this epoch."""
        return {"best": self.best, "best_file": self.best_file, "is_finished": self.is_finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.best, self.best_file = state_dict["best"], state_dict["best_file"]
        self.is_finished = state_dict.get("is_finished", False)
