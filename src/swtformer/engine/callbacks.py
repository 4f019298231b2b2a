"""Callbacks: progress with losses, metrics.csv, images that could not be read."""

from __future__ import annotations

import csv
import io
import math
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from swtformer.engine.module import FittedModule
from swtformer.progress import Progress
from swtformer.store.files import write_text

COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "loss",
    "cls",
    "gsc",
    "ccl",
    "validation_map_per_class",
    "validation_map_per_image",
    "seconds",
)


class EpochMetrics(Callback):
    """An epoch's losses, averaged over all processes, and validation scores: one row of metrics.csv.

    A resumed run keeps the rows of the epochs before the checkpoint.

    Args:
        path: the CSV file.
        columns: its columns; values of other names are not written.
    """

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS) -> None:
        self.path = path
        self.columns = columns
        self.rows: list[dict[str, str]] = []
        self._sums: dict[str, float] = {}
        self._batches = 0
        self._started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the rows of the epochs that a checkpoint already holds."""
        if self.path.is_file():
            with self.path.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            self.rows = [row for row in rows if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch's sums."""
        self._sums, self._batches, self._started = {}, 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add one batch's losses."""
        assert isinstance(pl_module, FittedModule)
        for name, value in pl_module.latest.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        self._batches += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row."""
        assert isinstance(pl_module, FittedModule)
        means = torch.tensor([total / self._batches for total in self._sums.values()])
        means = trainer.strategy.reduce(means.to(pl_module.device), reduce_op="mean")
        if not trainer.is_global_zero:
            return
        optimizer = trainer.optimizers[0]
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "learning_rate": f"{optimizer.param_groups[0]['lr']:.6g}",
            "seconds": f"{time.monotonic() - self._started:.2f}",
        }
        row |= {name: f"{mean:.6f}" for name, mean in zip(self._sums, means.tolist(), strict=True)}
        row |= {name: f"{value:.6f}" for name, value in pl_module.validation.items()}
        self.rows.append({name: str(row.get(name, "")) for name in self.columns})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
        for logger in trainer.loggers:
            logger.log_metrics(
                {name: float(value) for name, value in row.items() if name != "epoch"}, trainer.global_step
            )


class ProgressReport(Callback):
    """Tells the epoch and the smoothed losses to whoever watches."""

    SMOOTHING = 0.9

    def __init__(self, progress: Progress, stage: str = "train") -> None:
        self.progress = progress
        self.stage = stage
        self._means: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report one batch."""
        assert isinstance(pl_module, FittedModule)
        if not trainer.is_global_zero:
            return
        for name, value in pl_module.latest.items():
            before = self._means.get(name, float(value))
            self._means[name] = self.SMOOTHING * before + (1 - self.SMOOTHING) * float(value)
        epochs = trainer.max_epochs or 1
        note = f"epoch {trainer.current_epoch + 1}/{epochs}  " + "  ".join(
            f"{name} {value:.3f}" for name, value in self._means.items()
        )
        if pl_module.validation:
            score = pl_module.validation[pl_module.monitored]
            note += f"  {pl_module.monitored_name} {'n/a' if math.isnan(score) else f'{score:.3f}'}"
        batches = pl_module.batches_in_epoch
        self.progress(self.stage, trainer.current_epoch * batches + batch_idx + 1, epochs * batches, note)


class UnreadableImages(Callback):
    """Collects the positions of images that the loaders could not read and replaced by another."""

    def __init__(self) -> None:
        self.training: set[int] = set()
        self.validation: set[int] = set()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take note of a batch's failed images."""
        self.training.update(int(position) for position in batch["failed"])

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take note of a validation batch's failed images."""
        self.validation.update(int(position) for position in batch["failed"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn what the other processes met."""
        if trainer.world_size > 1:
            found: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(found, (self.training, self.validation))
            self.training = set().union(*(training for training, _ in found))
            self.validation = set().union(*(validation for _, validation in found))


class OwnSignals(Callback):
    """Leaves SIGTERM to whoever handled it before, and lets no process outlive a stop.

    Lightning's own handler waits for all processes, which never answer when one of them is in a collective
    operation.
    """

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the handler back that was there before Lightning's."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the processes that were started beside this one when a signal stops it."""
        launcher = trainer.strategy.launcher
        if not isinstance(exception, Exception) and hasattr(launcher, "kill"):
            launcher.kill(signal.SIGKILL)
