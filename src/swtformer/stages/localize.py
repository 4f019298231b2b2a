"""Make class activation maps for a data set with a run's model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.of_run import notes_of
from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import NOT_THERE, ImageSet, Record
from swtformer.datasets.value_range import with_range
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError
from swtformer.inference.equal_sizes import in_equal_sizes
from swtformer.inference.kept_maps import maps_of
from swtformer.inference.network_maps import network_maps
from swtformer.methods import Method, checked_maps
from swtformer.precision import autocast, pick_device, use_onednn
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.segmentation.pretrained import map_maker
from swtformer.settings import METHODS, Settings, channels
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest, file_stamp, sha256
from swtformer.store.maps import ClassActivationMaps, are_current
from swtformer.store.models import WEIGHTS
from swtformer.store.notes import MapNotes, write_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_maker


@dataclass(frozen=True, repr=False)
class LocalizeResult(ShortRepr):
    """What map making did.

    Attributes:
        done: images whose maps were made.
        reused: images whose current maps were kept.
        failures: images that were skipped.
    """

    done: int
    reused: int
    failures: tuple[Failure, ...]


@shows_progress
@sole_maker
def localize(
    run: Run, data: ImageSet, *, settings: Settings | None = None, progress: Progress = shown
) -> LocalizeResult:
    """Write one map file per image into the run's `maps` folder; called again, it makes those that are
    missing.

    Maps that are there already, whole and made by the same model and settings, are kept. In a later round
    (`begin_round`) the model is the segmentation network of the round before, and the maps are its class
    probabilities under the image-level labels.

    Args:
        run: a run with a finished model.
        data: images; with `settings.localize.classes` given, their labels choose the classes.
        settings: the data and localize sections are used; the run's own where None.
        progress: called after every image.

    Raises:
        DataError: labels are wanted and missing, the classes are not the model's, or an image has no class
            although `settings.data.background` is none.
        SettingsError: `settings.data.background` is none and the method makes no R-CAMs.
        CheckpointError: the model is missing or damaged.
    """
    keep_freed_memory()
    settings = with_range(settings or run.settings(), data)
    options = settings.localize
    model = map_maker(run)
    if channels(settings.data) != channels(model.images):
        raise SettingsError(
            f"data.bands names {channels(settings.data)} bands; the model was trained on "
            f"{channels(model.images)}."
        )
    if data.classes != model.classes and options.classes == "given":
        raise DataError(
            f"{data.name} has the classes {list(data.classes)}, the model knows {list(model.classes)}; "
            "name them in the model's order with data.classes, or use localize.classes predicted."
        )
    if options.classes == "given":
        unknown = [record.id for record in data.records if record.present is None]
        if unknown:
            raise DataError(
                f"{len(unknown)} images of {data.name} have no labels (the first is {unknown[0]}); "
                "use localize.classes predicted to let the model choose the classes."
            )
    if settings.data.strict:
        refuse_unreadable(data, settings.data)
    require_classes_everywhere(data, settings)
    if isinstance(model, Method):
        model.has_background = settings.data.background == "label"
    device = pick_device(options.accelerator)
    model.to(device)
    if device == "cpu":
        use_onednn(model)
    made_by = _fingerprint(run, settings)
    notes = MapNotes(
        **notes_of(data),
        made_by=made_by,
        images=len(data),
        ids=tuple(record.id for record in data.records),
        scales=options.scales,
        flip=options.mirrored,
        classes=options.classes,
        settings=settings.shaping("localize"),
    )
    write_notes(run.maps_file, notes)
    todo = [
        record
        for record in data.records
        if not are_current(run.map_file(record.id), made_by=made_by, made_from=_source(record, settings))
    ]
    reused = len(data) - len(todo)
    failures: list[Failure] = []
    left_out = [
        Failure(problem.id, "localize", str(data.root), problem.message)
        for problem in data.problems
        if problem.kind in NOT_THERE and problem.id is not None
    ]
    done = 0
    progress("localize", reused, len(data))

    def make(batch: list[tuple[Record, np.ndarray]]) -> list[ClassActivationMaps]:
        present = None
        if options.classes == "given":
            present = torch.zeros(len(batch), len(model.classes), device=device)
            for row, (record, _) in zip(present, batch, strict=True):
                row[list(record.present or ())] = 1
        images = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for _, image in batch]).to(device)
        with autocast(options.precision, device):
            if isinstance(model, Method):
                made = checked_maps(model, images, present, settings=options)
            else:
                made = network_maps(model, images, present, settings=options)
        size = (images.shape[-2], images.shape[-1])
        return [maps_of(made, index, size=size) for index in range(len(batch))]

    reader = read_ahead(todo, settings.data, threads=options.workers)
    results = in_equal_sizes(
        ((record, image if isinstance(image, ImageError) else (record, image)) for record, image in reader),
        size_of=lambda item: (item[1].shape[0], item[1].shape[1]),
        work=make,
        limit=options.batch_size,
    )
    for record, maps in results:
        if isinstance(maps, SwtformerError):
            failures.append(Failure(record.id, "localize", str(record.image), str(maps)))
        else:
            maps = replace(maps, made_by=made_by, made_from=_source(record, settings))
            maps.save(run.map_file(record.id))
            done += 1
        progress("localize", reused + done + len(failures), len(data))
    failures += left_out
    write_failures(run, "localize", failures)
    return LocalizeResult(done=done, reused=reused, failures=tuple(failures))


def require_classes_everywhere(data: ImageSet, settings: Settings) -> None:
    """Refuse a method or images that cannot do without background, where `settings.data.background` is none.

    Raises:
        SettingsError: the method makes no R-CAMs.
        DataError: an image has no class.
    """
    if settings.data.background == "label":
        return
    method = settings.model.method
    if "rcam" not in METHODS[method].makes:
        raise SettingsError(
            f"data.background none needs a method that makes R-CAMs, such as swtformer_v3; {method} makes "
            "CAMs alone, which are 0 where a class is not found."
        )
    empty = [record.id for record in data.records if record.present is not None and not record.present]
    if empty and settings.localize.classes == "given":
        raise DataError(
            f"{len(empty)} images of {data.name} have no class (the first is {empty[0]}), but with "
            "data.background none every pixel has one. Label them, or set data.background to label."
        )


def _fingerprint(run: Run, settings: Settings) -> str:
    """Equal for maps that would come out equal: the model's weights and what shapes the maps."""
    shaping = settings.shaping("localize"), settings.data.images_alone(), settings.data.background
    return digest(sha256(run.model / WEIGHTS), *shaping)


def _source(record: Record, settings: Settings) -> str:
    """Equal while an image's file and, where they choose the classes, its labels are what they were."""
    labels = record.present if settings.localize.classes == "given" else None
    return digest(file_stamp(record.image), labels)
