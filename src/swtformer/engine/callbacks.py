"""Callbacks: metrics.csv, progress, images that could not be read, signals."""

from __future__ import annotations

import csv
import io
import math
import signal
import threading
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from swtformer.engine.module import FittedModule
from swtformer.errors import SwtformerError
from swtformer.progress import Progress
from swtformer.store.files import read_rows, write_text


class EpochMetrics(Callback):
    """Writes a row of metrics.csv per epoch: mean losses over all processes, and validation scores.

    The columns are epoch, step, learning_rate (of the first group), loss, the module's `loss_names` and
    `validation_names`, and seconds. A loss that was not computed in an epoch leaves its cell empty. A resumed
    run keeps the rows of the epochs up to the checkpoint.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self._values: dict[str, list[float]] = {}
        self._started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the rows of the epochs that a checkpoint already holds."""
        if self.path.is_file():
            try:
                rows = read_rows(self.path)[1]
                self.rows = [row for row in rows if int(row["epoch"]) <= trainer.current_epoch]
            except (KeyError, ValueError) as error:
                raise SwtformerError(f"{self.path}: expected a column of epochs ({error}).") from None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new row."""
        assert isinstance(pl_module, FittedModule)
        self._values = {name: [] for name in ("loss", *pl_module.loss_names)}
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Collect one batch's losses."""
        assert isinstance(pl_module, FittedModule)
        for name, value in pl_module.latest.items():
            self._values[name].append(float(value))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row.

        Raises:
            ValueError: validation made a score that is not in the module's `validation_names`.
        """
        assert isinstance(pl_module, FittedModule)
        unknown = [name for name in pl_module.validation if name not in pl_module.validation_names]
        if unknown:
            raise ValueError(
                f"The score {unknown[0]!r} is not among the validation_names "
                f"{list(pl_module.validation_names)} of {type(pl_module).__name__}; add it there."
            )
        means = torch.tensor([fmean(values) if values else math.nan for values in self._values.values()])
        means = trainer.strategy.reduce(means.to(pl_module.device), reduce_op="mean")
        if not trainer.is_global_zero:
            return
        losses = zip(self._values, means.tolist(), strict=True)
        scores = {name: pl_module.validation.get(name) for name in pl_module.validation_names}
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}",
            **{name: "" if math.isnan(mean) else f"{mean:.6f}" for name, mean in losses},
            **{name: "" if score is None else f"{score:.6f}" for name, score in scores.items()},
            "seconds": f"{time.monotonic() - self._started:.2f}",
        }
        self.rows.append(row)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
        for logger in trainer.loggers:
            logger.log_metrics(
                {name: float(value) for name, value in row.items() if name != "epoch" and value != ""},
                trainer.global_step,
            )


class ProgressReport(Callback):
    """Reports the epoch and the smoothed losses."""

    SMOOTHING = 0.9

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
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
        done = trainer.current_epoch * batches + batch_idx + 1
        self.progress(pl_module.section, done, epochs * batches, note)


class UnreadableImages(Callback):
    """Collects the positions of images that the loaders could not read and replaced."""

    def __init__(self) -> None:
        self.training: set[int] = set()
        self.validation: set[int] = set()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note a batch's failed images."""
        self.training.update(int(position) for position in batch["failed"])

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        """Note a validation batch's failed images."""
        self.validation.update(int(position) for position in batch["failed"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect those of the other processes."""
        if trainer.world_size > 1:
            found: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(found, (self.training, self.validation))
            self.training = set().union(*(training for training, _ in found))
            self.validation = set().union(*(validation for _, validation in found))


class OwnSignals(Callback):
    """Keeps the previous handler of SIGTERM, and stops the other processes with this one.

    Lightning's own handler waits for all processes, which never answer while one of them is in a collective
    operation.
    """

    def __init__(self) -> None:
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back the handler that Lightning replaced."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Kill the processes that were started beside this one when a signal stops it."""
        launcher = trainer.strategy.launcher
        if not isinstance(exception, Exception) and hasattr(launcher, "kill"):
            launcher.kill(signal.SIGKILL)
