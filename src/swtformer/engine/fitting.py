"""Runs Lightning's trainer: callbacks, checkpoints, signals, and the weights that are kept in the end."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging

from swtformer.engine.batches import SampleLoader
from swtformer.engine.callbacks import (
    COLUMNS,
    EpochMetrics,
    OwnSignals,
    ProgressReport,
    UnreadableImages,
)
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.engine.checkpoints import AtomicCheckpointIO, EpochCheckpoints
from swtformer.engine.module import FittedModule
from swtformer.engine.precision import lightning_precision
from swtformer.errors import SettingsError
from swtformer.precision import pick_device
from swtformer.processes import is_main_process, launched_processes
from swtformer.progress import Progress
from swtformer.settings import OptimisationSettings
from swtformer.store.run import Run

logger = logging.getLogger("swtformer")


class LoaderFactory(Protocol):
    """Makes one process's loader; how many processes there are is known late."""

    def __call__(self, *, rank: int, world_size: int) -> SampleLoader:
        """Loader of the images that fall to process `rank` of `world_size`."""


def fit(
    module: FittedModule,
    training: LoaderFactory,
    validation: LoaderFactory | None,
    *,
    run: Run,
    strategy: str,
    resume: bool,
    progress: Progress,
    columns: Sequence[str] = COLUMNS,
) -> UnreadableImages:
    """Train a module by its options; the main process's holds the weights that are to be kept afterwards.

    A run whose newest checkpoint ended its training, early or not, is not trained any further.

    Args:
        module: what is trained.
        training: makes the loader of training batches.
        validation: makes the loader of the images that the best epoch is chosen by.
        run: where metrics and checkpoints go.
        strategy: Lightning's name of how processes share the work.
        resume: go on from the newest whole checkpoint.
        progress: told about every batch.
        columns: of metrics.csv.

    Returns:
        Which images could not be read, in this process or another.

    Raises:
        SettingsError: a launcher started another number of processes than the options ask for.
        CheckpointError: no checkpoint to resume from is whole.
        NonFiniteError: the loss or a weight is not finite.
    """
    _quieten()
    options = module.options
    _check_launch(options, module.section)
    device = pick_device(options.accelerator)
    unreadable = UnreadableImages()
    checkpoints = EpochCheckpoints(run.checkpoints, module.monitored)
    newest = newest_checkpoint(run.checkpoints) if resume else None
    if newest is not None and _is_finished(newest, checkpoints, run=run, epochs=options.epochs):
        _keep(module, newest, checkpoints)
        return unreadable
    callbacks: list[Callback] = [
        EpochMetrics(run.metrics_file, columns),
        ProgressReport(progress, module.section),
        unreadable,
        checkpoints,
        OwnSignals(),
    ]
    if options.ema_decay > 0:
        callbacks.insert(0, EMAWeightAveraging(decay=options.ema_decay))
    if options.early_stopping_patience > 0:
        patience = options.early_stopping_patience
        # Not strict: a score that is undefined is not logged.
        callbacks.append(EarlyStopping(module.monitored, mode="max", patience=patience, strict=False))
    loggers: list[Any] = []
    if options.tensorboard:
        loggers.append(_tensorboard(run.path, module.section))
    with warnings.catch_warnings():
        # Lightning's advice on worker counts, and notes on its own deprecated calls into torch.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer = Trainer(
            accelerator=device,
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=strategy,
            precision=lightning_precision(options.precision, device),
            max_epochs=options.epochs,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=options.clip_norm or None,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(module.section)],
            logger=loggers or False,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            deterministic="warn" if device == "cuda" else False,
            default_root_dir=run.path,
        )
        shard = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        _run_fit(
            trainer,
            module,
            training(**shard),
            validation(**shard) if validation is not None else None,
            ckpt_path=newest,
            weights_only=True,
        )
    if is_main_process():
        _keep(module, newest_checkpoint(run.checkpoints), checkpoints)
        is_to_choose = options.keep == "best" or options.early_stopping_patience > 0
        if is_to_choose and checkpoints.best_file is None:
            logger.warning(
                "%s: %s is n/a on these validation images, so it chose no epoch; the weights are the last.",
                run.path,
                module.monitored_name,
            )
    return unreadable


def _check_launch(options: OptimisationSettings, section: str) -> None:
    launched, wanted = launched_processes(), options.devices * options.nodes
    if launched > 1 and launched != wanted:
        raise SettingsError(
            f"{launched} processes were launched, the settings ask for {wanted}: set --{section}.devices to "
            f"the number of processes per machine and --{section}.nodes to that of machines."
        )


def _is_finished(newest: Path, checkpoints: EpochCheckpoints, *, run: Run, epochs: int) -> bool:
    """Whether the newest checkpoint ended a training; `checkpoints` takes up its state, the user is told."""
    state = read_checkpoint(newest)
    checkpoints.load_state_dict(state["callbacks"][checkpoints.state_key])
    if checkpoints.is_finished and is_main_process():
        done = state["epoch"] + 1
        how = f"stopped early, after epoch {done} of {epochs}" if done < epochs else f"all {epochs} epochs"
        logger.warning("%s is finished (%s); there is nothing left to train.", run.path, how)
    return checkpoints.is_finished


def _keep(module: FittedModule, newest: Path, checkpoints: EpochCheckpoints) -> None:
    """Load the weights that become the model; under EMA the checkpoint holds the averaged ones."""
    kept = newest
    if module.options.keep == "best" and checkpoints.best_file is not None:
        kept = newest.with_name(checkpoints.best_file)
    module.load_state_dict(read_checkpoint(kept)["state_dict"])


def _run_fit(trainer: Any, *arguments: Any, **options: Any) -> None:
    """Fit; an interrupt stays an interrupt, where Lightning would end the process."""
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(*arguments, **options)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored after an interrupt


def _tensorboard(folder: Path, section: str) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError:
        raise SettingsError(
            f"--{section}.tensorboard needs TensorBoard: pip install 'swtformer[log]'."
        ) from None


def _quieten() -> None:
    """Keep Lightning's notes on devices and seeds out of the terminal; its warnings and errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
