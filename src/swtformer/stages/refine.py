"""Make a run's maps follow the edges of its images; a stopped call resumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.of_run import notes_of, open_data_of
from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.value_range import with_range
from swtformer.errors import ImageError, NonFiniteError, PluginError, SwtformerError
from swtformer.inference.equal_sizes import in_equal_sizes
from swtformer.labelling.mask_rule import ids_with_maps
from swtformer.labelling.start import RunExamples, Start, made_from
from swtformer.labelling.start_maps import label_free_power, source_of
from swtformer.precision import pick_device
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.refiners import LearnedRefiner, Refiner, create_refiner
from swtformer.settings import RefineSettings, Settings
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest
from swtformer.store.maps import STEPS, ClassActivationMaps, are_current
from swtformer.store.notes import MapNotes, RefinedNotes, read_notes, training_notes, write_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_maker
from swtformer.training.refiner_weights import fit_or_load

BATCH_ON_A_GPU = 16
"""Images of one size that are refined together by default. On a CPU it is one, where more are no faster."""


@dataclass(frozen=True, repr=False)
class RefineResult(ShortRepr):
    """What refinement did.

    Attributes:
        method: the refiner.
        done: images whose maps were refined.
        reused: images whose refined maps were current.
        unmapped: images of the data set that have no maps.
        failures: images that were skipped.
    """

    method: str
    done: int
    reused: int
    unmapped: int
    failures: tuple[Failure, ...]


@shows_progress
@sole_maker
def refine(
    run: Run,
    data: ImageSet | None = None,
    *,
    settings: Settings | None = None,
    progress: Progress = shown,
) -> RefineResult:
    """Write refined/<id>.npz for every image of the data set that has maps, and refined.json.

    The files are `ClassActivationMaps`: `refined` holds the result, `cam` the unchanged CAM. Current files,
    made in the same way from the same maps and image, are kept. A learned refiner is fitted first, to these
    images and maps alone, unless its weights are current.

    Args:
        run: a run with maps.
        data: images; by default those that the maps were made for.
        settings: the seed, data, refine and refiner sections are used; by default the run's own.
        progress: called after every image.

    Raises:
        SwtformerError: no maps can be used, none of the data set's images has maps, the maps to start from
            were not made, or an optional library is missing.
        PluginError: the refiner gave something else than maps of these images.
        NonFiniteError: the fit of a learned refiner diverged, or a refiner gave nan.
    """
    keep_freed_memory()
    mapped_by = read_notes(run.maps_file, MapNotes)
    if data is None:
        data = open_data_of(run, mapped_by or training_notes(run))
    settings = with_range(settings or run.settings(), data)
    options = settings.refine
    mapped = set(ids_with_maps(run))
    records = [record for record in data.records if record.id in mapped]
    if not records:
        raise SwtformerError(
            f"None of the {len(data)} images of {data.name} has maps in {run.maps}; make them with "
            "`swtformer localize`."
        )
    if settings.data.strict:
        refuse_unreadable(data, settings.data)
    start = _start(run, [record.id for record in records], options)
    refiner = create_refiner(
        options.method,
        settings.plugin_options("refiner"),
        source=start.source,
        device=pick_device(options.accelerator),
    )
    weights = ""
    if isinstance(refiner, LearnedRefiner):
        examples = RunExamples(run, records, start, settings.data.images_alone())
        weights = fit_or_load(
            refiner,
            examples,
            run=run,
            made_from=examples.fingerprint(),
            settings=settings,
            progress=progress,
        )
    settled = options.model_copy(update={"source": start.source})
    shaped_by = settings.model_copy(update={"refine": settled}).shaping("refine", "refiner")
    maps_made_by = None if mapped_by is None else mapped_by.made_by
    made_by = digest(maps_made_by, shaped_by, start, settings.data.images_alone(), weights)
    notes = RefinedNotes(
        **notes_of(data),
        made_by=made_by,
        maps_made_by=maps_made_by,
        images=len(records),
        method=options.method,
        source=start.source,
        background_power=start.power if start.source == "cam" else None,
        scales=() if mapped_by is None else mapped_by.scales,
        flip=mapped_by is not None and mapped_by.flip,
        settings=shaped_by,
    )
    write_notes(run.refined_file, notes)
    failures: list[Failure] = []
    todo = list(_todo(run, records, made_by, failures))
    reused = len(records) - len(todo) - len(failures)
    done = 0
    progress("refine", reused + len(failures), len(records))
    results = in_equal_sizes(
        _unrefined(run, todo, start, settings),
        size_of=lambda unrefined: unrefined.maps.size,
        work=partial(_refined, refiner),
        limit=options.batch_size or (1 if refiner.device.type == "cpu" else BATCH_ON_A_GPU),
    )
    for record, maps in results:
        if isinstance(maps, SwtformerError):
            failures.append(_failure(run, record, maps))
        else:
            replace(maps, made_by=made_by).save(run.refined_map_file(record.id))
            done += 1
        progress("refine", reused + done + len(failures), len(records))
    write_failures(run, "refine", failures)
    return RefineResult(
        options.method, done, reused, unmapped=len(data) - len(records), failures=tuple(failures)
    )


def _start(run: Run, ids: list[str], options: RefineSettings) -> Start:
    """The maps to start from."""
    source = source_of(run, ids, options.source)
    if source == "rcam":
        return Start(source, power=1.0)
    return Start(source, power=options.background_power or label_free_power(run, ids))


def _todo(run: Run, records: list[Record], made_by: str, failures: list[Failure]) -> Iterator[Record]:
    """The images whose refined maps are missing, damaged or stale; those with damaged maps fail."""
    for record in records:
        try:
            maps = ClassActivationMaps.load(run.map_file(record.id))
        except SwtformerError as error:
            failures.append(_failure(run, record, error))
            continue
        path = run.refined_map_file(record.id)
        if not are_current(path, made_by=made_by, made_from=made_from(record, maps)):
            yield record


@dataclass(frozen=True)
class _Unrefined:
    """One image with its maps: those on disk with their new `made_from`, and as a refiner takes them."""

    maps: ClassActivationMaps
    image: Tensor
    channels: Tensor


def _unrefined(
    run: Run, records: list[Record], start: Start, settings: Settings
) -> Iterator[tuple[Record, _Unrefined | SwtformerError]]:
    """Every record with its image and maps, or with the error that keeps them from being used."""
    reader = read_ahead(records, settings.data, threads=settings.refine.workers)
    for record, image in reader:
        if isinstance(image, ImageError):
            yield record, image
            continue
        try:
            maps = ClassActivationMaps.load(run.map_file(record.id))
            pixels, channels = start.tensors(image, maps)
        except SwtformerError as error:
            yield record, error
        else:
            yield record, _Unrefined(replace(maps, made_from=made_from(record, maps)), pixels, channels)


def _refined(refiner: Refiner, batch: list[_Unrefined]) -> list[ClassActivationMaps | SwtformerError]:
    """Maps with their refined ones. A batch that fails is halved, until single images fail."""
    try:
        made = refiner.refine_batch([one.image for one in batch], [one.channels for one in batch])
    except (PluginError, NonFiniteError):
        raise
    except SwtformerError as error:
        if len(batch) == 1:
            return [error]
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    else:
        return [
            replace(one.maps, rcam=None, refined=_as_fp16(own)) for one, own in zip(batch, made, strict=True)
        ]
    middle = len(batch) // 2
    return _refined(refiner, batch[:middle]) + _refined(refiner, batch[middle:])


def _failure(run: Run, record: Record, error: SwtformerError) -> Failure:
    """Record what could not be refined; a stale result is removed."""
    run.refined_map_file(record.id).unlink(missing_ok=True)
    path = record.image if isinstance(error, ImageError) else run.map_file(record.id)
    return Failure(record.id, "refine", str(path), str(error))


def _as_fp16(maps: Tensor) -> np.ndarray:
    """fp16, rounded once: to the steps of the files."""
    return ((maps * STEPS).round() / STEPS).to(torch.float16).numpy()
