"""Train a model from images and their labels into a run folder."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets import open_dataset, split_off
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.records import ImageSet
from swtformer.errors import CheckpointError, DataError, SettingsError, SwtformerError
from swtformer.methods import Method, create_model
from swtformer.methods.pretrained import CONFIG, WEIGHTS, load_weights, read_weights, save_pretrained
from swtformer.run import Failure, Progress, Run, read_failures, read_json, silent, write_failures, write_json
from swtformer.settings import Settings
from swtformer.training.precision import lightning_precision, pick_device

FREE_TO_CHANGE = {
    "train.workers",
    "train.accelerator",
    "train.tensorboard",
    "data.strict",
}
"""Settings that a resumed run may change: they do not touch the weights that come out."""


def train(
    data: ImageSet,
    *,
    settings: Settings | None = None,
    out: str | Path,
    resume: bool = False,
    validation: ImageSet | None = None,
    progress: Progress = silent,
) -> Run:
    """Train on image-level labels and leave the model, its curves and its settings in a run folder.

    Ground-truth masks are never looked at. Interrupted, the run goes on with `resume` from the last whole
    epoch and ends with the weights of an unbroken one (same machine, same number of threads).

    Args:
        data: training images; images of unknown labels (`present` None) are left out.
        settings: all settings; defaults where None.
        out: the run folder; it must not hold a run yet unless `resume`.
        resume: go on from the newest whole checkpoint.
        validation: images that mAP is measured on; by default `settings.data.validation_split`, else a seeded
            part of `data` that is then not trained on.
        progress: told about every batch.

    Returns:
        The run; `failures.csv` in it lists images that could not be read.

    Raises:
        SettingsError: the folder holds another run, or resumed settings differ.
        DataError: no labelled image is left.
        CheckpointError: weights or checkpoints are damaged or do not fit.
        NonFiniteError: the loss or a weight is not finite.
    """
    keep_freed_memory()
    settings = settings or Settings()
    run = Run(Path(out))
    _check_folder(run, settings, resume=resume)
    training, validation = _sets(data, settings, validation)
    if settings.data.strict:
        for images in filter(None, (training, validation)):
            refuse_unreadable(images, exif=settings.data.exif)
    torch.manual_seed(settings.seed)
    # Stopped before its first checkpoint, a run goes on from its start.
    has_checkpoint = resume and any(run.checkpoints.glob("epoch-*.ckpt"))
    model = _model(settings, data.classes, has_checkpoint=has_checkpoint)
    if _is_main_process():
        run.write_settings(settings)
        write_json(run.classes_file, list(data.classes))
        run.update_environment(
            data=str(data.root.resolve()),
            split=data.split,
            data_name=data.name,
            labels_from=data.labels_from,
            training_images=len(training),
            validation_images=len(validation) if validation else 0,
            data_fingerprint=data.fingerprint(),
            seed=settings.seed,
            threads=torch.get_num_threads(),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        )
    failed = _fit(
        model, training, validation, run=run, settings=settings, resume=has_checkpoint, progress=progress
    )
    if resume:
        known = {failure.id for failure in failed}
        failed += [item for item in read_failures(run) if item.stage == "train" and item.id not in known]
    if _is_main_process():
        save_pretrained(model, run.model)
        write_failures(run, "train", failed)
    return run


def _check_folder(run: Run, settings: Settings, *, resume: bool) -> None:
    if run.settings_file.is_file():
        if not resume:
            if not _is_main_process():
                return
            raise SettingsError(
                f"{run.path} already holds a run. Go on with it by --resume, or name another --out."
            )
        changed = [
            name
            for name, before, now in _differences(run.settings(), settings)
            if name not in FREE_TO_CHANGE and before != now
        ]
        if changed:
            raise SettingsError(
                f"{run.path} was started with other settings: {', '.join(changed)}. "
                "A resumed run keeps its settings; start a new run to change them."
            )
    elif resume and _is_main_process():
        raise SettingsError(f"{run.path} holds no run to resume (no settings.yaml).")
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SwtformerError(f"{run.path}: cannot be created: {error.strerror}.") from None
    if not os.access(run.path, os.W_OK):
        raise SwtformerError(f"{run.path}: is not writable; name another folder with --out.")


def _differences(before: Settings, now: Settings) -> list[tuple[str, Any, Any]]:
    """Values of the settings that decide the trained weights, pairwise by dotted name."""
    rows: list[tuple[str, Any, Any]] = [("seed", before.seed, now.seed)]
    for section in ("data", "model", "loss", "train"):
        first, second = getattr(before, section), getattr(now, section)
        rows += [
            (f"{section}.{name}", getattr(first, name), getattr(second, name))
            for name in type(first).model_fields
        ]
    return rows


def _sets(
    data: ImageSet, settings: Settings, validation: ImageSet | None
) -> tuple[ImageSet, ImageSet | None]:
    labelled = [i for i, record in enumerate(data.records) if record.present is not None]
    if not labelled:
        raise DataError(f"{data.name}: no image has labels, so there is nothing to train on.")
    data = data.subset(labelled)
    if validation is None and settings.data.validation_split is not None:
        validation = open_dataset(data.root, settings.data, split=settings.data.validation_split)
    if validation is None:
        data, validation = split_off(data, settings.data.validation_fraction, settings.seed)
    if validation.classes != data.classes:
        raise DataError(
            f"{validation.name} has the classes {list(validation.classes)}, "
            f"{data.name} has {list(data.classes)}; name them in one order with --data.classes."
        )
    if len(validation) == 0:
        if settings.train.keep == "best" or settings.train.early_stopping_patience:
            raise SettingsError(
                "--train.keep best and --train.early_stopping_patience need validation images: set "
                "--data.validation_fraction above 0 or name a --data.validation_split."
            )
        return data, None
    return data, validation


def _model(settings: Settings, classes: tuple[str, ...], *, has_checkpoint: bool) -> Method:
    start = settings.train.start_from
    if not has_checkpoint and start is None:
        return create_model(settings.model, classes)
    model = create_model(settings.model.model_copy(update={"weights": "none"}), classes)
    # The statistics of batch norm come with the weights that are loaded here or from the checkpoint.
    model.backbone.keeps_batch_statistics = settings.model.weights != "none" or start is not None
    model.train()
    if start is not None and not has_checkpoint:
        folder = start / "model" if (start / "model").is_dir() else start
        known = tuple(read_json(folder / CONFIG)["classes"])
        if known != classes:
            raise CheckpointError(
                f"{folder} was made for the classes {list(known)}, the data set has {list(classes)}; "
                "name them in the model's order with --data.classes."
            )
        load_weights(model, read_weights(folder / WEIGHTS), source=folder / WEIGHTS, partly=True)
    return model


def _fit(
    model: Method,
    training: ImageSet,
    validation: ImageSet | None,
    *,
    run: Run,
    settings: Settings,
    resume: bool,
    progress: Progress,
) -> list[Failure]:
    from lightning.pytorch import Callback, Trainer
    from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging

    from swtformer.training.callbacks import EpochMetrics, OwnSignals, ProgressReport, UnreadableImages
    from swtformer.training.checkpoints import AtomicCheckpointIO, EpochCheckpoints, newest_checkpoint
    from swtformer.training.loader import evaluation_loader, training_loader
    from swtformer.training.module import TrainingModule

    _quieten()
    options = settings.train
    device = pick_device(options.accelerator)
    unreadable = UnreadableImages()
    checkpoints = EpochCheckpoints(run.checkpoints)
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
        callbacks.append(
            EarlyStopping("validation_map_per_class", mode="max", patience=options.early_stopping_patience)
        )
    loggers: list[Any] = []
    if options.tensorboard:
        loggers.append(_tensorboard(run.path))
    with warnings.catch_warnings():
        # Lightning's advice on worker counts, and notes on its own deprecated calls into torch.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer = Trainer(
            accelerator=device,
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=_strategy(settings),
            precision=lightning_precision(options.precision, device),
            max_epochs=options.epochs,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=options.clip_norm or None,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
            logger=loggers or False,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            deterministic="warn" if device == "cuda" else False,
            default_root_dir=run.path,
        )
        module = TrainingModule(model, settings)
        _run_fit(
            trainer,
            module,
            training_loader(
                training,
                settings.train,
                settings.data,
                seed=settings.seed,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
            ),
            evaluation_loader(validation, settings.train, settings.data) if validation else None,
            ckpt_path=newest_checkpoint(run.checkpoints) if resume else None,
            weights_only=True,
        )
    kept = newest_checkpoint(run.checkpoints)
    if options.keep == "best" and checkpoints.best_file is not None:
        kept = run.checkpoints / checkpoints.best_file
    # Under EMA the checkpoint holds the averaged weights, a finished run that is resumed the others.
    module.load_state_dict(AtomicCheckpointIO().load_checkpoint(kept)["state_dict"])
    records = [training.records[position] for position in sorted(unreadable.training)]
    if validation is not None:
        records += [validation.records[position] for position in sorted(unreadable.validation)]
    return [
        Failure(
            id=record.id,
            stage="train",
            path=str(record.image),
            reason="cannot be read; another image took its place",
        )
        for record in records
    ]


def _strategy(settings: Settings) -> str:
    """Lightning's name of how processes share the work."""
    if settings.train.devices * settings.train.nodes == 1:
        return "auto"
    loss = settings.loss
    has_contrast = loss.ccl > 0 and loss.ccl_reading != "off"
    fusion_idles = loss.detach == "refined" or (loss.gsc == 0 and not has_contrast)
    return "ddp_find_unused_parameters_true" if fusion_idles else "ddp"


def _run_fit(trainer: Any, *arguments: Any, **options: Any) -> None:
    """Fit; an interrupt stays an interrupt, where Lightning would end the process."""
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(*arguments, **options)
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored after an interrupt


def _tensorboard(folder: Path) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError:
        raise SettingsError("--train.tensorboard needs TensorBoard: pip install 'swtformer[log]'.") from None


def _quieten() -> None:
    """Keep Lightning's notes on devices and seeds out of the terminal; its warnings and errors stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _is_main_process() -> bool:
    """False in the processes that a launcher started beside the first."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0
