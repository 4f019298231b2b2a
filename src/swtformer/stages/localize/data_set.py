"""Make class activation maps for a data set with a run's model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.check import refuse_unreadable
from swtformer.datasets.of_run import notes_of
from swtformer.datasets.read_ahead import read_ahead
from swtformer.datasets.records import NOT_THERE, ImageSet, Record
from swtformer.datasets.value_range import with_range
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError
from swtformer.in_order import work_ahead
from swtformer.inference.equal_sizes import in_equal_sizes, usual_limit
from swtformer.inference.kept_maps import maps_of
from swtformer.inference.network_maps import network_maps
from swtformer.labelling.start_maps import require_source
from swtformer.methods import Method, checked_maps
from swtformer.methods.prototypes import PrototypeMethod
from swtformer.precision import autocast, pick_device, use_onednn
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.segmentation import SegmentationNetwork
from swtformer.segmentation.pretrained import map_maker
from swtformer.settings import METHODS, Settings, channels
from swtformer.sharing import Team, Work, open_team
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest, file_stamp, sha256
from swtformer.store.maps import ClassActivationMaps, are_current
from swtformer.store.models import WEIGHTS
from swtformer.store.notes import MapNotes, write_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_maker

Made = TypeVar("Made")
Saved = TypeVar("Saved")

WRITERS = 4
"""Threads that write map files."""


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
def localize(
    run: Run,
    data: ImageSet,
    *,
    settings: Settings | None = None,
    ray: str | None = None,
    progress: Progress = shown,
) -> LocalizeResult:
    """Write one map file per image into the run's `maps` folder; called again, it makes those that are
    missing.

    Maps that are there already, whole and made by the same model and settings, are kept. In a later round
    (`begin_round`) the model is the segmentation network of the round before, and the maps are its class
    probabilities under the image-level labels. The processes of torchrun or srun divide the images.

    Args:
        run: a run with a finished model.
        data: images; with `settings.localize.classes` given, their labels choose the classes.
        settings: the data and localize sections are used; the run's own where None.
        ray: address of a Ray cluster whose workers divide the images (`open_team`).
        progress: called after every image.

    Raises:
        DataError: labels are wanted and missing, the classes are not the model's, or an image has no class
            although `settings.data.background` is none.
        SettingsError: `settings.data.background` is none and the method makes no R-CAMs.
        CheckpointError: the model is missing or damaged.
        SwtformerError: another process has ended, or Ray cannot be used.
    """
    keep_freed_memory()
    settings = settings or run.settings()
    team = open_team(ray, accelerator=settings.localize.accelerator)
    return _localize(run, data, settings, team, progress)


@sole_maker
def _localize(run: Run, data: ImageSet, settings: Settings, team: Team, progress: Progress) -> LocalizeResult:
    settings = with_range(settings, data)
    options = settings.localize
    making = MapMaking(run, settings)
    model = making.model
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
    require_mappable(data, settings)

    def begin() -> None:
        if settings.data.strict:
            refuse_unreadable(data, settings.data)
        notes = MapNotes(
            **notes_of(data),
            made_by=making.made_by,
            images=len(data),
            ids=tuple(record.id for record in data.records),
            scales=options.scales,
            flip=options.mirrored,
            classes=options.classes,
            settings=settings.shaping("localize"),
        )
        write_notes(run.maps_file, notes)

    team.agreed(begin)
    current = list(team.divided(_Current(run, settings, making.made_by), data.records))
    # The first process alone knows what is current, and names what is to do.
    todo = [record for record, kept in zip(data.records, current, strict=False) if not kept]
    reused = len(data) - len(todo)
    progress("localize", reused, len(data))
    made = list(team.divided(making, todo, lambda done: progress("localize", reused + done, len(data))))

    def end() -> LocalizeResult:
        skipped = [failure for failure in made if failure is not None]
        left_out = [
            Failure(problem.id, "localize", str(data.root), problem.message)
            for problem in data.problems
            if problem.kind in NOT_THERE and problem.id is not None
        ]
        failures = (*skipped, *left_out)
        write_failures(run, "localize", failures)
        return LocalizeResult(done=len(made) - len(skipped), reused=reused, failures=failures)

    return team.agreed(end)


@dataclass(frozen=True)
class _Current(Work[Record, bool]):
    """Whether an image's maps are there, whole and made by this model and these settings."""

    run: Run
    settings: Settings
    made_by: str

    def __call__(self, items: Sequence[Record]) -> Iterator[bool]:
        for record in items:
            made_from = _source(record, self.settings)
            yield are_current(self.run.map_file(record.id), made_by=self.made_by, made_from=made_from)


@dataclass(frozen=True)
class MapMaking(Work[Record, Failure | None]):
    """Writes the maps of images; those that fail give a failure.

    Attributes:
        run: a run with a finished model.
        settings: the data and localize sections are used.
    """

    run: Run
    settings: Settings

    @cached_property
    def model(self) -> Method | SegmentationNetwork:
        """What makes the maps."""
        model = map_maker(self.run)
        if isinstance(model, Method):
            model.has_background = self.settings.data.background == "label"
        device = pick_device(self.settings.localize.accelerator)
        model.to(device)
        if device == "cpu":
            use_onednn(model)
        return model

    @cached_property
    def made_by(self) -> str:
        """Equal for maps that would come out equal: the model's weights and what shapes the maps."""
        shaping = (
            self.settings.shaping("localize"),
            self.settings.data.images_alone(),
            self.settings.data.background,
        )
        return digest(sha256(self.run.model / WEIGHTS), *shaping)

    def __call__(self, items: Sequence[Record]) -> Iterator[Failure | None]:
        """See `Work`."""
        options = self.settings.localize
        reader = read_ahead(items, self.settings.data, threads=options.workers)
        results = in_equal_sizes(
            (
                (record, image if isinstance(image, ImageError) else (record, image))
                for record, image in reader
            ),
            size_of=lambda item: (item[1].shape[0], item[1].shape[1]),
            work=self._maps,
            limit=options.batch_size or usual_limit(pick_device(options.accelerator)),
        )
        return written(self._saved, results, device=pick_device(options.accelerator))

    def _saved(self, result: tuple[Record, ClassActivationMaps | SwtformerError]) -> Failure | None:
        record, maps = result
        if isinstance(maps, SwtformerError):
            for earlier in (self.run.map_file(record.id), self.run.refined_map_file(record.id)):
                earlier.unlink(missing_ok=True)
            return Failure(record.id, "localize", str(record.image), str(maps))
        made_from = _source(record, self.settings)
        replace(maps, made_by=self.made_by, made_from=made_from).save(self.run.map_file(record.id))
        return None

    def _maps(self, batch: list[tuple[Record, np.ndarray]]) -> list[ClassActivationMaps]:
        """Maps of images of one size. A batch that exceeds the memory is halved, down to single images."""
        try:
            return self._made(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        middle = len(batch) // 2
        return self._maps(batch[:middle]) + self._maps(batch[middle:])

    def _made(self, batch: list[tuple[Record, np.ndarray]]) -> list[ClassActivationMaps]:
        options, model = self.settings.localize, self.model
        device = pick_device(options.accelerator)
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


def written(save: Callable[[Made], Saved], results: Iterable[Made], *, device: str) -> Iterator[Saved]:
    """Yield `save(result)` of every result in order.

    Packing and syncing a file would keep an accelerator waiting, so threads do it there. On a CPU they would
    only take it from the network.

    Args:
        save: writes a file; called in threads where `device` is not "cpu".
        results: made one after the other in the caller's thread.
        device: that makes the results.
    """
    if device == "cpu":
        return map(save, results)
    return work_ahead(save, results, threads=WRITERS)


def require_mappable(data: ImageSet, settings: Settings) -> None:
    """Refuse settings of maps that the method cannot follow, and images without a class where it needs one.

    Raises:
        SettingsError: seeds by contrast without prototypes, or no background without R-CAMs.
        DataError: an image has no class, where `data.background` is none.
    """
    method = settings.model.method
    if settings.localize.seeds == "contrast" and not issubclass(METHODS[method], PrototypeMethod):
        raise SettingsError(
            "localize.seeds contrast needs a method with prototypes, such as swtformer_v3; "
            f"{method} has none."
        )
    if settings.data.background == "label":
        return
    if "rcam" not in METHODS[method].makes:
        raise SettingsError(
            f"data.background none needs a method that makes R-CAMs, such as swtformer_v3; {method} makes "
            "CAMs alone, which are 0 where a class is not found."
        )
    require_source(settings.refine.source, settings.data.background)
    empty = [record.id for record in data.records if record.present is not None and not record.present]
    if empty and settings.localize.classes == "given":
        raise DataError(
            f"{len(empty)} images of {data.name} have no class (the first is {empty[0]}), but with "
            "data.background none every pixel has one. Label them, or set data.background to label."
        )


def _source(record: Record, settings: Settings) -> str:
    """Equal while an image's file and, where they choose the classes, its labels are what they were."""
    labels = record.present if settings.localize.classes == "given" else None
    return digest(file_stamp(record.image), labels)
