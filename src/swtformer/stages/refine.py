"""Make a run's maps follow the edges of its images; a stopped call resumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

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
from swtformer.inference.equal_sizes import in_equal_sizes, usual_limit
from swtformer.labelling.mask_rule import ids_with_maps
from swtformer.labelling.start import RunExamples, Start, made_from
from swtformer.labelling.start_maps import label_free_power, require_source, source_of
from swtformer.precision import pick_device
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.refiners import LearnedRefiner, Refiner, create_refiner
from swtformer.settings import Settings
from swtformer.sharing import Team, Work, open_team
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest
from swtformer.store.maps import STEPS, ClassActivationMaps, are_current
from swtformer.store.notes import RefinedNotes, map_notes, write_notes
from swtformer.store.refined_maps import load_current
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_maker
from swtformer.training.refiner_weights import fit_or_load, load_fitted


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
def refine(
    run: Run,
    data: ImageSet | None = None,
    *,
    settings: Settings | None = None,
    ray: str | None = None,
    progress: Progress = shown,
) -> RefineResult:
    """Write refined/<id>.npz for every image of the data set that has maps, and refined.json.

    The files are `ClassActivationMaps`: `refined` holds the result, `cam` the unchanged CAM. Current files,
    made in the same way from the same maps and image, are kept. A learned refiner is fitted first, to these
    images and maps alone, unless its weights are current. The processes of torchrun or srun divide the
    images.

    Args:
        run: a run with maps.
        data: images; by default those that the maps were made for.
        settings: the seed, data, refine and refiner sections are used; by default the run's own.
        ray: address of a Ray cluster whose workers divide the images (`open_team`).
        progress: called after every image.

    Raises:
        SwtformerError: no maps can be used, none of the data set's images has maps, the maps to start from
            were not made, an optional library is missing, or another process has ended.
        SettingsError: a learned refiner is to be fitted, and several processes were launched.
        PluginError: the refiner gave something else than maps of these images.
        NonFiniteError: the fit of a learned refiner diverged, or a refiner gave nan.
    """
    keep_freed_memory()
    settings = settings or run.settings()
    team = open_team(ray, accelerator=settings.refine.accelerator)
    return _refine(run, data, settings, team, progress)


@sole_maker
def _refine(
    run: Run, data: ImageSet | None, settings: Settings, team: Team, progress: Progress
) -> RefineResult:
    mapped, mapped_by = set(ids_with_maps(run)), map_notes(run)
    if data is None:
        data = open_data_of(run, mapped_by)
    settings = with_range(settings, data)
    options = settings.refine
    records = [record for record in data.records if record.id in mapped]
    if not records:
        raise SwtformerError(
            f"None of the {len(data)} images of {data.name} has maps in {run.maps}; make them with "
            "`swtformer localize`."
        )
    if settings.data.strict:
        team.agreed(lambda: refuse_unreadable(data, settings.data))
    refining = Refining(
        run, settings, team.agreed(lambda: _start(run, [each.id for each in records], settings))
    )
    refining.weights = team.agreed(lambda: refining.fit(records, progress))
    settled = options.model_copy(update={"source": refining.start.source})
    shaped_by = settings.model_copy(update={"refine": settled}).shaping("refine", "refiner")
    refining.made_by = digest(
        mapped_by.made_by, shaped_by, refining.start, settings.data.images_alone(), refining.weights
    )
    notes = RefinedNotes(
        **notes_of(data),
        made_by=refining.made_by,
        maps_made_by=mapped_by.made_by,
        images=len(records),
        method=options.method,
        source=refining.start.source,
        background_power=refining.start.power if refining.start.source == "cam" else None,
        scales=mapped_by.scales,
        flip=mapped_by.flip,
        settings=shaped_by,
    )
    team.agreed(lambda: write_notes(run.refined_file, notes))
    # The first process alone knows what is current, and names what is to do.
    found = list(team.divided(_Current(run, refining.made_by), records))
    failures = [failure for failure in found if isinstance(failure, Failure)]
    todo = [record for record, state in zip(records, found, strict=False) if state is False]
    known = len(records) - len(todo)
    progress("refine", known, len(records))
    made = list(team.divided(refining, todo, lambda done: progress("refine", known + done, len(records))))

    def end() -> RefineResult:
        skipped = [failure for failure in made if failure is not None]
        write_failures(run, "refine", failures + skipped)
        return RefineResult(
            options.method,
            done=len(made) - len(skipped),
            reused=known - len(failures),
            unmapped=len(data) - len(records),
            failures=(*failures, *skipped),
        )

    return team.agreed(end)


@dataclass(frozen=True)
class _Current(Work[Record, bool | Failure]):
    """Whether refined maps are there, whole and made in this way from the maps that there are now; a failure
    where the maps are damaged or stale."""

    run: Run
    made_by: str

    def __call__(self, items: Sequence[Record]) -> Iterator[bool | Failure]:
        maps_made_by = map_notes(self.run).made_by
        for record in items:
            try:
                maps = load_current(self.run, record.id, made_by=maps_made_by)
            except SwtformerError as error:
                yield _failure(self.run, record, error)
                continue
            path = self.run.refined_map_file(record.id)
            yield are_current(path, made_by=self.made_by, made_from=made_from(record, maps))


@dataclass
class Refining(Work[Record, Failure | None]):
    """Writes the refined maps of images; those that fail give a failure.

    Attributes:
        run: a run with maps.
        settings: the seed, data, refine and refiner sections are used.
        start: the maps to start from.
        weights: fingerprint of a learned refiner's weights once it is fitted.
        made_by: fingerprint of the refined maps.
    """

    run: Run
    settings: Settings
    start: Start
    weights: str = ""
    made_by: str = ""

    @cached_property
    def refiner(self) -> Refiner:
        """What refines; a learned one that another process has fitted with its weights."""
        refiner = create_refiner(
            self.settings.refine.method,
            self.settings.plugin_options("refiner"),
            source=self.start.source,
            device=pick_device(self.settings.refine.accelerator),
        )
        if self.weights and isinstance(refiner, LearnedRefiner):
            load_fitted(refiner, run=self.run)
        return refiner

    def fit(self, records: Sequence[Record], progress: Progress) -> str:
        """Fit a learned refiner unless its weights are current; their fingerprint, "" for other refiners."""
        if not isinstance(self.refiner, LearnedRefiner):
            return ""
        examples = RunExamples(self.run, records, self.start, self.settings.data.images_alone())
        return fit_or_load(
            self.refiner,
            examples,
            run=self.run,
            made_from=examples.fingerprint(),
            settings=self.settings,
            progress=progress,
        )

    def __call__(self, items: Sequence[Record]) -> Iterator[Failure | None]:
        """See `Work`."""
        results = in_equal_sizes(
            _unrefined(self.run, items, self.start, self.settings),
            size_of=lambda unrefined: unrefined.maps.size,
            work=partial(_refined, self.refiner),
            limit=self.settings.refine.batch_size or usual_limit(self.refiner.device.type),
        )
        for record, maps in results:
            if isinstance(maps, SwtformerError):
                yield _failure(self.run, record, maps)
            else:
                replace(maps, made_by=self.made_by).save(self.run.refined_map_file(record.id))
                yield None


def _start(run: Run, ids: list[str], settings: Settings) -> Start:
    """The maps to start from."""
    options = settings.refine
    require_source(options.source, settings.data.background)
    source = source_of(run, ids, options.source)
    if source == "rcam":
        return Start(source, power=1.0)
    return Start(source, power=options.background_power or label_free_power(run, ids))


@dataclass(frozen=True)
class _Unrefined:
    """One image with its maps: those on disk with their new `made_from`, and as a refiner takes them."""

    maps: ClassActivationMaps
    image: Tensor
    channels: Tensor


def _unrefined(
    run: Run, records: Sequence[Record], start: Start, settings: Settings
) -> Iterator[tuple[Record, _Unrefined | SwtformerError]]:
    """Every record with its image and maps, or with the error that keeps them from being used."""
    reader = read_ahead(records, settings.data, threads=settings.refine.workers)
    made_by = map_notes(run).made_by
    for record, image in reader:
        if isinstance(image, ImageError):
            yield record, image
            continue
        try:
            maps = load_current(run, record.id, made_by=made_by)
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
