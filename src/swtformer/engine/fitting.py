"""Runs Lightning's trainer with our callbacks and checkpoints, and loads the weights to keep."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging

from swtformer.engine.batches import Samples, ordered_batches, training_batches
from swtformer.engine.callbacks import EpochMetrics, OwnSignals, ProgressReport, UnreadableImages
from swtformer.engine.checkpoint_files import newest_checkpoint, read_checkpoint
from swtformer.engine.checkpoints import AtomicCheckpointIO, EpochCheckpoints
from swtformer.engine.depthwise import FastDepthwise, has_depthwise
from swtformer.engine.module import FittedModule
from swtformer.errors import SettingsError, SwtformerError
from swtformer.precision import pick_device, pick_precision
from swtformer.processes import is_main_process, launched_processes
from swtformer.progress import Progress
from swtformer.settings import OptimisationSettings
from swtformer.store.run import Run

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
"""Lightning's names of our precisions."""

LOST_PEER = ("by peer", "gloo", "NCCL")
"""Words in torch's errors where another process of a training has gone."""

logger = logging.getLogger("swtformer")


def fit(
    module: FittedModule,
    training: Samples[Any],
    validation: Samples[Any] | None,
    *,
    run: Run,
    resume: bool,
    progress: Progress,
) -> UnreadableImages:
    """Train a module by its options. Afterwards the module of the main process holds the weights to keep.

    A finished training, stopped early or not, is not trained further when it is resumed.

    Args:
        module: what is trained.
        training: what it learns from.
        validation: what chooses the best epoch; None for nothing.
        run: where metrics and checkpoints go.
        resume: continue from the newest undamaged checkpoint.
        progress: called after every batch.

    Returns:
        Which images could not be read, over all processes.

    Raises:
        SettingsError: the number of launched processes differs from the one that the options ask for.
        CheckpointError: there is no undamaged checkpoint to resume from.
        NonFiniteError: the loss or a weight is not finite.
        SwtformerError: a worker process was killed, or shared memory is too small for the workers.
        ValueError: the module computed a loss or score that it does not announce, or its parameter groups
            lack a trainable parameter.
    """
    _quieten()
    options = module.options
    _check_launch(options, module.prefix)
    device = pick_device(options.accelerator)
    precision = pick_precision(options.precision, device)
    unreadable = UnreadableImages()
    checkpoints = EpochCheckpoints(run.checkpoints, module.monitored)
    newest = newest_checkpoint(run.checkpoints) if resume else None
    if newest is not None and _is_finished(newest, checkpoints, run=run, epochs=options.epochs):
        _keep(module, newest, checkpoints)
        return unreadable
    callbacks: list[Callback] = [
        EpochMetrics(run.metrics_file),
        ProgressReport(progress),
        unreadable,
        checkpoints,
        OwnSignals(),
    ]
    if options.ema_decay > 0:
        callbacks.insert(0, EMAWeightAveraging(decay=options.ema_decay))
    if options.early_stopping_patience > 0:
        patience = options.early_stopping_patience
        # Not strict: an undefined score is not logged.
        callbacks.append(EarlyStopping(module.monitored, mode="max", patience=patience, strict=False))
    loggers: list[Any] = []
    if options.tensorboard:
        loggers.append(_tensorboard(run.path, module.prefix))
    with warnings.catch_warnings(), _determinism_kept():
        # Lightning's advice on worker counts, and its own use of deprecated torch calls.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer = Trainer(
            accelerator=device,
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=_strategy(module),
            precision=PRECISIONS[precision],
            max_epochs=options.epochs,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=options.clip_norm or None,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(module.prefix)],
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
        is_slow = (device, precision) == ("cpu", "bf16") and has_depthwise(module)
        with FastDepthwise() if is_slow else nullcontext():
            _run_fit(
                trainer,
                module,
                training_batches(training, options, **shard),
                None if validation is None else ordered_batches(validation, options, **shard),
                ckpt_path=newest,
                weights_only=True,
            )
    if is_main_process():
        _keep(module, newest_checkpoint(run.checkpoints), checkpoints)
        needs_score = options.keep == "best" or options.early_stopping_patience > 0
        if needs_score and checkpoints.best_file is None:
            logger.warning(
                "%s: %s is n/a on these validation images, so the weights of the last epoch are kept.",
                run.path,
                module.monitored_name,
            )
    return unreadable


def _strategy(module: FittedModule) -> str:
    """Lightning's name of how processes share the work."""
    if module.options.devices * module.options.nodes == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if module.has_idle_parameters() else "ddp"


def _check_launch(options: OptimisationSettings, prefix: str) -> None:
    launched, wanted = launched_processes(), options.devices * options.nodes
    if launched > 1 and launched != wanted:
        raise SettingsError(
            f"{launched} processes were launched, but the settings ask for {wanted}: set {prefix}devices "
            f"to the number of processes per machine and {prefix}nodes to the number of machines."
        )


def _is_finished(newest: Path, checkpoints: EpochCheckpoints, *, run: Run, epochs: int) -> bool:
    """Load the newest checkpoint's state into `checkpoints`; warn and return True if its training ended."""
    state = read_checkpoint(newest)
    checkpoints.load_state_dict(state["callbacks"][checkpoints.state_key])
    if checkpoints.is_finished and is_main_process():
        done = state["epoch"] + 1
        how = f"stopped early, after epoch {done} of {epochs}" if done < epochs else f"all {epochs} epochs"
        logger.warning("%s is finished (%s); there is nothing left to train.", run.path, how)
    return checkpoints.is_finished


def _keep(module: FittedModule, newest: Path, checkpoints: EpochCheckpoints) -> None:
    """Load the weights to keep; under EMA checkpoints hold the averaged ones."""
    kept = newest
    if module.options.keep == "best" and checkpoints.best_file is not None:
        kept = newest.with_name(checkpoints.best_file)
    module.load_state_dict(read_checkpoint(kept)["state_dict"])


@contextmanager
def _determinism_kept() -> Iterator[None]:
    """Undo at the end what a trainer sets for the whole process, which would slow what comes after it."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _run_fit(trainer: Any, module: FittedModule, *loaders: Any, **options: Any) -> None:
    """Fit; raise KeyboardInterrupt where Lightning turns it into SystemExit.

    Raises:
        SwtformerError: a process that loads images was killed.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, *loaders, **options)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    except RuntimeError as error:
        is_shared = module.options.devices * module.options.nodes > 1
        if is_shared and any(sign in str(error) for sign in LOST_PEER):
            raise SwtformerError(
                f"Another process of this training has ended ({_first_line(error)}). Its own message says "
                "why; fix that, and resume."
            ) from None
        if "DataLoader worker" not in str(error):
            raise
        if stopped := _signal_behind(error):
            raise stopped from None
        raise SwtformerError(
            f"A worker process that loads images was killed ({_first_line(error)}). It may "
            "have run out of memory or of shared memory (/dev/shm). Resume with fewer workers, such as "
            f"{module.prefix}workers 0."
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored after an interrupt


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _signal_behind(error: BaseException) -> BaseException | None:
    """The request to stop during which an error was raised, such as by workers that stopped as well."""
    behind = error.__context__
    while isinstance(behind, Exception):
        behind = behind.__context__
    return behind


def _tensorboard(folder: Path, prefix: str) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError:
        raise SettingsError(f"{prefix}tensorboard needs TensorBoard: pip install 'swtformer[log]'.") from None


def _quieten() -> None:
    """Keep Lightning's notes on devices and seeds out of the terminal; errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
