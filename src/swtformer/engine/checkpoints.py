"""Lightning's checkpoints: when they are written, and that they are written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from swtformer.engine.checkpoint_files import (
    epoch_file,
    read_checkpoint,
    remove_checkpoint,
    remove_older,
    write_checkpoint,
)
from swtformer.errors import NonFiniteError


class AtomicCheckpointIO(CheckpointIO):
    """Writes and reads Lightning's checkpoints through `checkpoint_files`.

    Args:
        prefix: what the names of the settings begin with ("train.").
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            NonFiniteError: a weight is nan or infinite; nothing is written.
            SwtformerError: the disk is full or read-only; the previous file stays.
        """
        for name, value in checkpoint["state_dict"].items():
            if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
                raise NonFiniteError(
                    f"The weights {name} are not finite at step {checkpoint['global_step']}; "
                    f"the last checkpoint is untouched. Try a smaller {self.prefix}learning_rate."
                )
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            CheckpointError: it is damaged, or holds more than tensors and plain values.
        """
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and its digest."""
        remove_checkpoint(Path(path))


class EpochCheckpoints(Checkpoint):
    """Saves after every epoch; keeps the last two and the best by a validation score.

    Args:
        folder: where the checkpoints go.
        monitored: name of the score; higher is better.
    """

    def __init__(self, folder: Path, monitored: str) -> None:
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
            # Before the epoch's own file, whose state names it.
            trainer.save_checkpoint(self.folder / self.best_file)
        trainer.save_checkpoint(epoch_file(self.folder, epoch))
        if trainer.is_global_zero:
            remove_older(self.folder)
            remove_older(self.folder, "best-*.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """Best validation score so far, and whether the training ended with this epoch."""
        return {"best": self.best, "best_file": self.best_file, "is_finished": self.is_finished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.best, self.best_file = state_dict["best"], state_dict["best_file"]
        self.is_finished = state_dict["is_finished"]
