"""Train a segmentation network on masks, pseudo-masks as a rule."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets import split_off
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.of_run import notes_of, open_data_of, place_of
from swtformer.datasets.records import ImageSet
from swtformer.datasets.value_range import with_range
from swtformer.engine.training_folder import (
    has_checkpoint,
    holds_weights,
    training_folder,
    with_earlier,
)
from swtformer.errors import DataError, SettingsError
from swtformer.functional.pixel_losses import rarity_weights
from swtformer.methods.pretrained import from_pretrained
from swtformer.processes import is_main_process
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.review.rejections import Rejections, rejections
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import SegmentSettings, Settings, channels
from swtformer.short_repr import ShortRepr
from swtformer.store.corrections import origin
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import read_json_as, write_json
from swtformer.store.known_data import data_of
from swtformer.store.models import holds_model, kind_of
from swtformer.store.notes import (
    CorrectionNotes,
    DataNotes,
    Supervision,
    network_notes,
    read_notes,
    training_notes,
    update_training_notes,
)
from swtformer.store.run import Run
from swtformer.training.network_notes import (
    changed_masks,
    kept_score,
    known_supervision,
    made_with,
    write_validation_score,
)
from swtformer.training.pair_samples import MaskedImage
from swtformer.training.pairs import Pairs, find_pairs, with_confidence
from swtformer.training.resume import changed_threads, require_unchanged, stored
from swtformer.training.same_network import SECTIONS

logger = logging.getLogger("swtformer")


@dataclass(frozen=True, repr=False)
class SegmentResult(ShortRepr):
    """What training the network did.

    Attributes:
        trained: folder of the training, with the layout of a run: settings, metrics, checkpoints, model.
        masks: folder of the masks.
        supervision: what they are; with "ground_truth" the network is not weakly supervised.
        corrections: how many were corrected and what they were before; None but for "corrected" masks.
        images: number of images trained on.
        validation_images: number of images that were set aside.
        without_mask: number of images that have no mask and were left out.
        rejected: number of images that were left out because the review rejected their masks.
        notice: what the review decided since a resumed training began, which does not follow it; None where
            it decided nothing.
        validation_miou: of the kept weights, against the held-out masks of the same folder, in [0, 1]; None
            where none were held out.
        failures: images or masks that could not be read.
    """

    trained: Run
    masks: Path
    supervision: Supervision
    corrections: CorrectionNotes | None
    images: int
    validation_images: int
    without_mask: int
    rejected: int
    notice: str | None
    validation_miou: float | None
    failures: tuple[Failure, ...]


@shows_progress
def segment(
    run: Run,
    data: ImageSet | None = None,
    *,
    settings: Settings | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress = shown,
) -> SegmentResult:
    """Train a segmentation network on a run's pseudo-masks, or on any folder of masks.

    A part of the images is set aside, and mIoU is measured against *their masks of the same folder*: it says
    how well the network learnt to imitate the masks, not how right they are. Ground truth is looked at only
    where `settings.segment.masks` names it, which the result then says.

    Masks that the review of the run's pseudo-masks rejected are left out, unless they were corrected since. A
    resumed training leaves out those that it began without.

    An interrupted training is resumed from the last whole epoch and ends with the weights of an uninterrupted
    one (same machine). A finished one is left as it is.

    Args:
        run: a run with pseudo-masks, and a trained model where the encoder is "run".
        data: the images; by default those that the masks were made for.
        settings: seed, data and segment are used; the run's own where None.
        out: folder of the training; `run.segmentation` where None.
        resume: continue from the newest whole checkpoint.
        progress: called after every mask that is checked and every batch.

    Raises:
        DataError: there are no masks, pseudo-masks are not all made, masks do not fit images or classes, or
            too few images are left.
        SettingsError: the folder holds another training, or resumed settings differ, or, without
            `settings.segment.resume_anyway`, masks, image-level labels or the number of threads.
        CheckpointError: weights or checkpoints are damaged or do not fit.
        NonFiniteError: the loss or a weight is not finite.
    """
    keep_freed_memory()
    settings = run.settings() if settings is None else settings
    trained = Run(run.segmentation if out is None else out)
    masks = run.pseudo_masks if settings.segment.masks is None else settings.segment.masks
    data = open_data_of(run, _made_for(run, settings.segment)) if data is None else data
    settings = with_range(settings, data)
    if data.classes != run.classes():
        raise DataError(
            f"{data.name} has the classes {list(data.classes)}, the run has {list(run.classes())}; name them "
            "in the run's order with data.classes."
        )
    _refuse_unfinished(run, masks)
    with training_folder(trained, settings, sections=SECTIONS, resume=resume):
        left_out = rejections(run, masks, trained, resume=resume)
        pairs = _pairs(data, masks, settings, left_out=left_out, progress=progress)
        changes = changed_masks(trained, pairs) or _changed_division(trained, pairs, settings)
        if is_main_process():
            changes += changed_threads(trained, settings.segment)
            if not (resume and holds_model(trained.path)):
                require_unchanged(trained, changes, settings.segment, section="segment")
        if resume and holds_model(trained.path):
            failures: list[Failure] = list(pairs.failures)
            if is_main_process():
                logger.warning("%s is finished; there is nothing left to train.", trained.path)
                supervision = known_supervision(trained, pairs)
                if network_notes(trained).finished is None:  # stopped between the last two writes
                    update_training_notes(trained, finished=_now())
                if not changes:
                    update_training_notes(
                        trained, **place_of(data), masks=masks.resolve(), supervision=supervision
                    )
        else:
            failures = _train(
                run,
                data,
                trained,
                masks=masks,
                pairs=pairs,
                left_out=left_out,
                changes=changes,
                settings=settings,
                resume=resume,
                progress=progress,
            )
        notes = network_notes(trained)
        failures = with_earlier(run, "segment", failures) if resume else failures
        score = kept_score(trained, settings.segment) if notes.validation_images else None
        if is_main_process():
            write_failures(run, "segment", failures)
            write_validation_score(trained, score)
        notices = [f"{' and '.join(changes)} since it was trained"] if changes else []
        notices += filter(None, [left_out.notice(run, trained)])
        return SegmentResult(
            trained=trained,
            masks=masks,
            supervision=notes.supervision,
            corrections=notes.corrections,
            images=notes.training_images,
            validation_images=notes.validation_images,
            without_mask=pairs.without_mask,
            rejected=pairs.rejected,
            notice="; ".join(notices) or None,
            validation_miou=score,
            failures=tuple(failures),
        )


def _train(
    run: Run,
    data: ImageSet,
    trained: Run,
    *,
    masks: Path,
    pairs: Pairs,
    left_out: Rejections,
    changes: Sequence[str],
    settings: Settings,
    resume: bool,
    progress: Progress,
) -> list[Failure]:
    """Train the network, or resume its training, and save it; returns what could not be read."""
    from swtformer.engine.fitting import fit
    from swtformer.training.pair_augment import WholePair, create_pair_augmentation
    from swtformer.training.pair_samples import PairSamples
    from swtformer.training.segmentation import SegmentationModule

    options = settings.segment
    training, validation = _divided(pairs, settings)
    torch.manual_seed(settings.seed)
    network = _network(run, data.classes, settings, largest_side_px=pairs.largest_side_px)
    supervision = known_supervision(trained, pairs)
    if is_main_process():
        trained.write_settings(stored(settings))
        write_json(trained.training_ids_file, [item.id for item in training])
        write_json(trained.classes_file, list(data.classes))
        update_training_notes(trained, **place_of(data), masks=masks.resolve(), supervision=supervision)
        if changes or not has_checkpoint(trained):
            before = network_notes(trained).resumed_anyway if has_checkpoint(trained) else ()
            update_training_notes(
                trained,
                **notes_of(data),
                labels_from=data.labels_from,
                data_fingerprint=data.fingerprint(),
                masks_fingerprint=pairs.fingerprint,
                present_fingerprint=pairs.present_fingerprint if options.presence > 0 else None,
                masks_made_with=made_with(run, masks),
                corrections=pairs.corrections,
                rejected_ids=sorted(left_out.ids),
                training_images=len(training),
                validation_images=len(validation),
                seed=settings.seed,
                threads=torch.get_num_threads(),
                parameters=sum(parameter.numel() for parameter in network.parameters()),
                finished=None,
                resumed_anyway=(*before, *changes),
            )
    weights = rarity_weights(pairs.pixels) if options.weighting == "per_class" else None
    whole = WholePair(options.long_side_px or options.crop_px)
    unreadable = fit(
        SegmentationModule(network, options, seed=settings.seed, class_weights=weights),
        PairSamples(training, create_pair_augmentation(options), settings.data, seed=settings.seed),
        PairSamples(validation, whole, settings.data, seed=0) if validation else None,
        run=trained,
        resume=resume and has_checkpoint(trained),
        progress=progress,
    )
    if is_main_process():
        network.images = settings.data.images_alone()
        network.write(trained.model)
        update_training_notes(trained, finished=_now())
    replaced = [training[place] for place in sorted(unreadable.training)]
    replaced += [validation[place] for place in sorted(unreadable.validation)]
    reason = "cannot be read, or its mask cannot; another image took its place"
    return [*pairs.failures, *(Failure(item.id, "segment", str(item.image), reason) for item in replaced)]


def _network(
    run: Run, classes: tuple[str, ...], settings: Settings, *, largest_side_px: int
) -> SegmentationNetwork:
    """The network to train: a new one or, in a later round, that of the round before."""
    if holds_model(run.path) and kind_of(run.model) == "segmentation":
        network = load_network(run.model).trained_further()
        size = {"long_side_px": settings.segment.long_side_px, "largest_side_px": largest_side_px}
        network.settings = network.settings.model_copy(update=size)
        return network
    start = from_pretrained(run.path) if settings.segment.encoder == "run" else None
    return create_network(
        settings.segment,
        classes,
        start=start,
        bands=channels(settings.data),
        largest_side_px=largest_side_px,
        background=settings.data.background == "label",
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _pairs(
    data: ImageSet, masks: Path, settings: Settings, *, left_out: Rejections, progress: Progress
) -> Pairs:
    """Images and masks to train on."""
    pairs = find_pairs(data, masks, settings=settings.data, rejected=left_out.ids, progress=progress)
    if settings.segment.weighting == "confidence":
        pairs = with_confidence(pairs, masks)
    if settings.data.strict:
        if pairs.failures:
            raise DataError(f"{len(pairs.failures)} images cannot be used: {pairs.failures[0].reason}")
        refuse_unreadable(pairs.images, settings.data)
    return pairs


def data_for(run: Run, data: Path | None, settings: SegmentSettings) -> tuple[Path, Settings]:
    """Where the images of a training lie, and the run's settings as far as they hold for them.

    By default the images that the pseudo-masks were made for, corrected ones as well; with masks of another
    folder, those that the run was trained on.
    """
    return data_of(run, data, _made_for(run, settings))


def _made_for(run: Run, settings: SegmentSettings) -> DataNotes:
    masks = run.pseudo_masks if settings.masks is None else origin(settings.masks)
    files = {run.pseudo_masks.resolve(): run.pseudo_masks_file, run.masks.resolve(): run.maps_file}
    file = files.get(masks.resolve(), run.environment_file)
    return read_notes(file, DataNotes) or training_notes(run)


def _refuse_unfinished(run: Run, masks: Path) -> None:
    """Refuse pseudo-masks that `pseudo-label` has not finished."""
    own = masks.is_dir() and masks.resolve() == run.pseudo_masks.resolve()
    if own and not run.pseudo_masks_file.is_file():
        raise DataError(
            f"{masks}: holds no {run.pseudo_masks_file.name}, so the masks are not all made yet, or by "
            "different rules; run `swtformer pseudo-label` again."
        )


def _changed_division(trained: Run, pairs: Pairs, settings: Settings) -> list[str]:
    """Says whether other images would be set aside than when an existing training started."""
    if not holds_weights(trained) or not trained.training_ids_file.is_file():
        return []
    training, _ = _divided(pairs, settings)
    if read_json_as(trained.training_ids_file, list[str]) == [item.id for item in training]:
        return []
    return ["other images would be set aside than when it started, as where data.group or its values change"]


def _divided(pairs: Pairs, settings: Settings) -> tuple[list[MaskedImage], list[MaskedImage]]:
    """Training and validation pairs."""
    training, validation = split_off(pairs.images, settings.segment.validation_fraction, settings.seed)
    chooses = settings.segment.keep == "best" or settings.segment.early_stopping_patience
    if chooses and len(validation) == 0:
        raise SettingsError(
            "segment.keep best and segment.early_stopping_patience need images that are set aside: set "
            "segment.validation_fraction above 0 and give at least 10 images."
        )
    return pairs.of(training), pairs.of(validation)
