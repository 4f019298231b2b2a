"""Train a model from images and their labels into a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets import open_dataset, split_off
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.folders.name_patterns import pattern_hint
from swtformer.datasets.groups import require_no_shared_group
from swtformer.datasets.of_run import place_of, write_labels
from swtformer.datasets.records import ImageSet
from swtformer.datasets.value_range import with_range
from swtformer.engine.training_folder import (
    has_checkpoint,
    training_folder,
    with_earlier,
)
from swtformer.errors import CheckpointError, DataError, SettingsError
from swtformer.hub.access import find_model
from swtformer.methods import Method, create_model
from swtformer.methods.base import read_config
from swtformer.methods.pretrained import save_pretrained
from swtformer.processes import is_main_process
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import Settings, channels
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import write_json
from swtformer.store.models import WEIGHTS, holds_model
from swtformer.store.notes import training_notes, update_training_notes
from swtformer.store.run import Run
from swtformer.store.weights import load_weights, read_weights
from swtformer.training.resume import (
    changed_files,
    changed_threads,
    file_sizes,
    notes_of_data,
    require_same_data,
    require_unchanged,
    stored,
    with_range_of_run,
)

SECTIONS = ("seed", "data", "model", "method", "train")
"""Sections of the settings that decide the trained weights."""


@shows_progress
def train(
    data: ImageSet,
    *,
    settings: Settings | None = None,
    out: str | Path,
    resume: bool = False,
    validation: ImageSet | None = None,
    progress: Progress = shown,
) -> Run:
    """Train on image-level labels and leave the model, its curves and its settings in a run folder.

    Ground-truth masks are never looked at. An interrupted run is resumed from the last whole epoch and ends
    with the weights of an uninterrupted one (same machine). A finished run is left as it is.

    Args:
        data: training images; images of unknown labels (`present` None) are left out.
        settings: all settings; defaults where None.
        out: the run folder; it must not hold a run yet unless `resume`.
        resume: continue from the newest whole checkpoint.
        validation: images that mAP is measured on; by default `settings.data.validation_split`, else a seeded
            part of `data` that is then not trained on.
        progress: called after every batch.

    Returns:
        The run; `failures.csv` in it lists images that could not be read.

    Raises:
        SettingsError: the folder holds another run, or resumed settings or data differ, or, without
            `settings.train.resume_anyway`, the number of threads or the image files.
        DataError: no labelled image is left.
        CheckpointError: weights or checkpoints are damaged or do not fit.
        NonFiniteError: the loss or a weight is not finite.
    """
    keep_freed_memory()
    run = Run(Path(out))
    settings = _settled(settings or Settings(), data, run, resume=resume)
    with training_folder(run, settings, sections=SECTIONS, resume=resume):
        changes: list[str] = []
        if is_main_process():
            require_same_data(run, data)
            changes = [*changed_files(run, data), *changed_threads(run, settings.train)]
            if not holds_model(run.path):
                require_unchanged(run, changes, settings.train, section="train")
        training, validation = _sets(data, settings, validation)
        if is_main_process():
            _require_same_validation(run, validation)
        if settings.data.strict:
            for images in filter(None, (training, validation)):
                refuse_unreadable(images, settings.data)
        if resume and holds_model(run.path) and not has_checkpoint(run):  # they were removed
            if is_main_process():
                _write_settings(run, settings)
                _note_changes(run, data, changes, overridden=settings.train.resume_anyway)
            return run
        torch.manual_seed(settings.seed)
        resumes = resume and has_checkpoint(run)
        model = _model(settings, data.classes, resumes=resumes)
        if is_main_process():
            _write_settings(run, settings)
            write_json(run.classes_file, list(data.classes))
            _note(run, data, training, validation, model, settings=settings, changes=changes)
        failed = _fit(
            model, training, validation, run=run, settings=settings, resume=resumes, progress=progress
        )
        if resume:
            failed = with_earlier(run, "train", failed)
        if is_main_process():
            model.images = settings.data.images_alone()
            model.has_background = settings.data.background == "label"
            save_pretrained(model, run.model)
            write_failures(run, "train", failed)
    return run


def _settled(settings: Settings, data: ImageSet, run: Run, *, resume: bool) -> Settings:
    """The settings with the range of values as this run decided it, and with as many bands as are read.

    Raises:
        SettingsError: the augmentation cannot do with these bands.
    """
    bands = channels(settings.data)
    if bands != 3 and settings.train.augmentation in ("mct", "psa"):
        raise SettingsError(
            f"train.augmentation {settings.train.augmentation} changes colours, and data.bands names {bands} "
            "bands. Choose advcam or advcam_scaled, or three bands."
        )
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"bands": bands})})
    return with_range(with_range_of_run(settings, run) if resume else settings, data)


def _write_settings(run: Run, settings: Settings) -> None:
    """Store the settings with all options of the method, defaults included."""
    method = settings.plugin_options("method").model_dump(mode="json")
    run.write_settings(stored(settings.model_copy(update={"method": method})))


def _note(
    run: Run,
    data: ImageSet,
    training: ImageSet,
    validation: ImageSet | None,
    model: Method,
    *,
    settings: Settings,
    changes: Sequence[str],
) -> None:
    """Note what the training is of; of an existing one, where its data lies now and what has changed."""
    if has_checkpoint(run) or holds_model(run.path):
        _note_changes(run, data, changes, overridden=settings.train.resume_anyway)
        return
    write_labels(run, data)
    update_training_notes(
        run,
        **notes_of_data(data),
        validation_fingerprint=validation.fingerprint() if validation else None,
        training_images=len(training),
        validation_images=len(validation) if validation else 0,
        seed=settings.seed,
        threads=torch.get_num_threads(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        resumed_anyway=(),
    )


def _note_changes(run: Run, data: ImageSet, changes: Sequence[str], *, overridden: bool) -> None:
    """Note where the data of an existing training lies now, and changes that were overridden."""
    update_training_notes(run, **place_of(data))
    if not (changes and overridden):
        return
    update_training_notes(run, file_sizes=file_sizes(data))  # nobody is asked twice about the same files
    if not holds_model(run.path):
        before = training_notes(run).resumed_anyway
        update_training_notes(run, resumed_anyway=(*before, *changes), threads=torch.get_num_threads())


def _sets(
    data: ImageSet, settings: Settings, validation: ImageSet | None
) -> tuple[ImageSet, ImageSet | None]:
    labelled = [i for i, record in enumerate(data.records) if record.present is not None]
    if not labelled:
        hint = pattern_hint([Path(record.id).name for record in data.records])
        message = f"{data.name}: no image has labels, so there is nothing to train on. {hint}"
        raise DataError(message.strip())
    data = data.subset(labelled)
    if validation is None and settings.data.validation_split is not None:
        split = settings.data.validation_split
        validation = open_dataset(data.root, settings.data, split=split, reader=settings.reader)
    if validation is None:
        data, validation = split_off(data, settings.data.validation_fraction, settings.seed)
    if validation.classes != data.classes:
        raise DataError(
            f"{validation.name} has the classes {list(validation.classes)}, "
            f"{data.name} has {list(data.classes)}; name them in one order with data.classes."
        )
    require_no_shared_group(data, validation)
    if len(validation) == 0:
        if settings.train.keep == "best" or settings.train.early_stopping_patience:
            raise SettingsError(
                "train.keep best and train.early_stopping_patience need validation images: set "
                "data.validation_fraction above 0 or name a data.validation_split."
            )
        return data, None
    return data, validation


def _require_same_validation(run: Run, validation: ImageSet | None) -> None:
    """Refuse to resume a training whose epochs were scored on other images or labels."""
    if not has_checkpoint(run) or holds_model(run.path):
        return
    known = training_notes(run).validation_fingerprint
    if (validation.fingerprint() if validation else None) != known:
        raise SettingsError(
            f"{run.path}: the images or labels of the validation split have changed since this training "
            "started. Put them back, or start a new run."
        )


def _model(settings: Settings, classes: tuple[str, ...], *, resumes: bool) -> Method:
    start = settings.train.start_from
    if not resumes and start is None:
        return create_model(settings.model, classes, settings.method)
    model = create_model(settings.model.model_copy(update={"weights": "none"}), classes, settings.method)
    # The statistics of batch norm come with the weights that are loaded here or from the checkpoint.
    model.keep_batch_statistics(settings.model.weights != "none" or start is not None)
    model.train()
    if start is not None and not resumes:
        folder = find_model(start, "cam").folder
        _, known = read_config(folder)
        if known != classes:
            raise CheckpointError(
                f"{folder} was made for the classes {list(known)}, the data set has {list(classes)}; "
                "name them in the model's order with data.classes."
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
    from swtformer.engine.fitting import fit
    from swtformer.training.augment import WholeImage, create_augmentation
    from swtformer.training.labelled_samples import LabelledSamples
    from swtformer.training.module import TrainingModule
    from swtformer.training.whole_images import WholeImages

    augmentation, whole = create_augmentation(settings.train), WholeImage(settings.train.crop_px)
    unreadable = fit(
        TrainingModule(model, settings, WholeImages(training, settings.data)),
        LabelledSamples(training, augmentation, settings.data, seed=settings.seed),
        LabelledSamples(validation, whole, settings.data, seed=0) if validation else None,
        run=run,
        resume=resume,
        progress=progress,
    )
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
