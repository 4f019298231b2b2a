"""Masks of photographs that have no labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.georeference import read_georeference
from swtformer.datasets.images import has_rotation
from swtformer.datasets.pixels.large_images import LargeImage
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.read_ahead import open_scene_or_read, read_scenes_ahead
from swtformer.datasets.records import ImageSet, Record
from swtformer.datasets.value_range import settle
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError
from swtformer.inference.inputs import find_inputs
from swtformer.inference.predictor import Predictor, SegmentationPredictor, load_predictor
from swtformer.label_values import BACKGROUND
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.report.pictures import mask_overlay, thumbnail
from swtformer.settings import ImageSettings, PredictSettings
from swtformer.settings.shaping import shaping
from swtformer.sharing import Team, Work, open_team
from swtformer.short_repr import ShortRepr
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import digest, file_stamp, make_folder, sha256, write_json, write_rows, write_with
from swtformer.store.label_tiff import write_label_tiff
from swtformer.store.masks import write_mask
from swtformer.store.notes import Area, Areas, ImageAreas, PredictionNotes, write_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_writer
from swtformer.store.unfinished import PhotographNotes, add_note, forget, open_notes, take_up

MASKS, OVERLAYS, PROBABILITIES, GEOREFERENCED = "masks", "overlays", "probabilities", "georeferenced"
ENDINGS = {MASKS: ".png", OVERLAYS: ".jpg", PROBABILITIES: ".npz", GEOREFERENCED: ".tif"}
"""Folders of the results, and how the name of a file in each ends."""
WORLD, PROJECTION = ".pgw", ".prj"
"""Endings of the files beside a mask that place it on the earth, where such files lie beside its image."""
OVERLAY_PX = 2048
"""Longer side of an overlay at most; masks keep the size of their image."""
NAMED = 5
MUCH_LARGER = 4
"""Images this many times larger than any training image may be scenes."""
COLUMNS = ("image", "file", "label", "class", "pixels", "fraction")
"""Columns of areas.csv: one row per image and class, background included."""


@dataclass(frozen=True, repr=False)
class PredictResult(ShortRepr):
    """What prediction did.

    Attributes:
        out: the folder of the results.
        kind: "segmentation" or "cam", the kind of the model.
        done: images that were segmented.
        rotated: images whose EXIF orientation was not applied, though it turns them.
        failures: images that could not be read.
        strays: masks in the folder that are of no image of this call, but of an earlier one.
        remarks: what became of values, bands and pages, and of images that may be scenes, in sentences.
    """

    out: Path
    kind: str
    done: int
    rotated: int
    failures: tuple[Failure, ...]
    strays: int
    remarks: tuple[str, ...] = ()

    @property
    def masks(self) -> Path:
        """Folder of the masks, as `evaluate --predictions` takes it."""
        return self.out / MASKS


@shows_progress
def predict(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | ImageSet,
    out: str | os.PathLike[str],
    *,
    settings: PredictSettings | None = None,
    listed: Iterable[str] = (),
    ray: str | None = None,
    progress: Progress = shown,
) -> PredictResult:
    """Segment photographs; labels are not needed.

    Into `out`: masks/<name>.png (palette, 0 background, k+1 for class index k), areas.csv and areas.json with
    the pixels and fractions of every class, predictions.json with model and settings, and, if asked for,
    overlays/<name>.jpg (at most 2048 px long) and probabilities/<name>.npz (array `probabilities`, (C+1,
    ceil(H/4), ceil(W/4)) float16). georeferenced/<name>.tif is the mask of a GeoTIFF with the tags that place
    it on the earth; a world file of the image is copied beside masks/<name>.png. Scenes that are too large to
    be read whole are seen some rows at a time and get georeferenced/<name>.tif alone. Files of an earlier
    call with the same names are replaced, or removed where the image fails now or the file is not asked for;
    photographs never are. areas.* and predictions.json are there only after a whole pass; a call that was
    stopped resumes. The processes of torchrun or srun divide the photographs.

    Args:
        model: a run, a saved model or an ONNX file; see `load_predictor`.
        inputs: a file, a folder, a pattern, or several of these, "-" for `listed` (see `find_inputs`); or the
            images of a data set, whose masks are then called by their ids.
        out: folder of the results.
        settings: how; defaults where None.
        listed: lines of a list of files.
        ray: address of a Ray cluster whose workers divide the photographs (`open_team`).
        progress: called after every image.

    Raises:
        DataError: inputs are missing, would share an output name, or would be overwritten, or `out` holds
            photographs or is a run; with `settings.strict`, when any cannot be read.
        CheckpointError: the model is missing or damaged.
        SettingsError: the windows overlap by half or more.
        SwtformerError: another process has ended, or Ray cannot be used.
    """
    keep_freed_memory()
    settings = settings or PredictSettings()
    team = open_team(ray, accelerator=settings.accelerator)
    if 2 * settings.overlap_px >= settings.window_px:
        raise SettingsError(
            f"predict.overlap_px ({settings.overlap_px}) must be less than half of predict.window_px "
            f"({settings.window_px})."
        )
    target = Run(Path(out))
    results = [target.path / name for name in ENDINGS]
    if isinstance(inputs, ImageSet):
        records = list(inputs.records)
    else:
        named = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
        records = team.agreed(
            lambda: find_inputs([os.fspath(item) for item in named], listed=listed, leave_out=results)
        )
    _refuse_folder(records, target)
    _refuse_overwriting(records, target.path)
    segmenting = Segmenting(model, target.path, settings)
    remarks = segmenting.settle(records)
    if settings.strict:
        team.agreed(lambda: _refuse_unreadable(records, segmenting.predictor))
    try:
        make_folder(target.path)
    except OSError as error:
        raise SwtformerError(f"{target.path}: cannot be created: {error.strerror or error}.") from error
    with sole_writer(target.path):
        return _predicted(segmenting, records, remarks, team, progress)


def _predicted(
    segmenting: Segmenting,
    records: Sequence[Record],
    remarks: tuple[str, ...],
    team: Team,
    progress: Progress,
) -> PredictResult:
    target, settings, predictor = Run(segmenting.out), segmenting.settings, segmenting.predictor
    table = target.areas_file.with_suffix(".csv")

    kept: dict[str, PhotographNotes] = {}

    def begin() -> None:
        for file in (target.predictions_file, target.areas_file, table):
            _remove(file)
        write_failures(target, "predict", ())
        left = take_up(target.path, made_by=segmenting.made_by)
        kept.update({record.id: left[record.id] for record in records if segmenting.has_made(record, left)})

    team.agreed(begin)
    todo = [record for record in records if record.id not in kept]
    progress("predict", len(kept), len(records))
    made = list(
        team.divided(segmenting, todo, lambda done: progress("predict", len(kept) + done, len(records)))
    )

    def end() -> PredictResult:
        outcomes = kept | {record.id: outcome for record, outcome in zip(todo, made, strict=True)}
        in_order = [outcomes[record.id] for record in records]
        failures = [outcome for outcome in in_order if isinstance(outcome, Failure)]
        done = [outcome for outcome in in_order if isinstance(outcome, PhotographNotes)]
        rows = tuple(note.areas for note in done)
        write_failures(target, "predict", failures)
        names = (BACKGROUND, *predictor.classes)
        write_notes(target.areas_file, Areas(classes=names, images=rows))
        write_rows(table, COLUMNS, _table(rows))
        notes = PredictionNotes(
            **(settings.model_dump() | predictor.images.images_alone().model_dump()),
            **predictor.about,
            model=predictor.folder.resolve(),
            weights=sha256(predictor.weights),
            kind=predictor.kind,
            classes=names,
            images=len(rows),
            skipped=len(failures),
        )
        write_json(target.predictions_file, notes.model_dump(mode="json", exclude_unset=True))
        forget(target.path)
        said = remarks
        much_larger = sum(note.is_much_larger for note in done)
        if much_larger and settings.seen_as == "auto":
            said += (
                f"Images more than {MUCH_LARGER} times as large as any that the network was trained on: "
                f"{much_larger}. They were seen whole, as photographs. If it was trained on tiles of such "
                "images, set predict.seen_as to scene.",
            )
        return PredictResult(
            target.path,
            predictor.kind,
            len(rows),
            sum(note.is_rotated for note in done),
            tuple(failures),
            _strays(target.path / MASKS, records),
            said,
        )

    return team.agreed(end)


@dataclass
class Segmenting(Work[Record, PhotographNotes | Failure]):
    """Writes the masks of photographs, and what else is asked for; those that cannot be read give a failure.

    Attributes:
        model: as for `load_predictor`.
        out: folder of the results.
        settings: how.
        images: how photographs are read; decided by `settle`.
    """

    model: str | os.PathLike[str]
    out: Path
    settings: PredictSettings
    images: ImageSettings | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """What makes the masks."""
        predictor = load_predictor(self.model, self.settings)
        if self.images is not None:
            predictor.images = self.images
        return predictor

    @cached_property
    def made_by(self) -> str:
        """Equal for results that would come out equal."""
        return digest(
            sha256(self.predictor.weights),
            self.predictor.about,
            self.predictor.images.images_alone(),
            shaping(self.settings, "predict"),
            self.settings.overlays,
            self.settings.probabilities,
        )

    def settle(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Decide how the photographs are read; see `settle`."""
        paths = [record.image for record in records]
        self.images, remarks = settle(paths, self.predictor.images, set_by="as for the model")
        self.predictor.images = self.images
        return remarks

    def has_made(self, record: Record, left: Mapping[str, PhotographNotes]) -> bool:
        """Whether a stopped call left the results of a photograph, which is what it was."""
        note = left.get(record.id)
        if note is None or note.made_from != file_stamp(record.image):
            return False
        main = [
            _inside(self.out, folder, f"{record.id}{ENDINGS[folder]}") for folder in (MASKS, GEOREFERENCED)
        ]
        return any(path.is_file() for path in main)

    def __call__(self, items: Sequence[Record]) -> Iterator[PhotographNotes | Failure]:
        """See `Work`."""
        reader = read_scenes_ahead(items, self.predictor.images, threads=self.settings.workers)
        with open_notes(self.out) as notes:
            for record, image in reader:
                for folder, ending in (*ENDINGS.items(), (MASKS, WORLD), (MASKS, PROJECTION)):
                    _remove(_inside(self.out, folder, f"{record.id}{ending}"))
                try:
                    if isinstance(image, ImageError):
                        raise image
                    note = self._segmented(record, image)
                except ImageError as error:
                    yield Failure(record.id, "predict", str(record.image), str(error))
                else:
                    add_note(notes, note)
                    yield note

    def _segmented(self, record: Record, image: np.ndarray | LargeImage) -> PhotographNotes:
        predictor, settings = self.predictor, self.settings
        made_from = file_stamp(record.image)
        is_much_larger = False
        if isinstance(image, LargeImage):
            areas = _segmented_scene(predictor, record, image, self.out, settings)
        else:
            is_scene = _is_scene(record, settings)
            areas = _segmented(predictor, record, image, self.out, settings, is_scene=is_scene)
            largest = predictor.largest_side_px
            if not is_scene and largest is not None:
                is_much_larger = max(image.shape[:2]) > MUCH_LARGER * largest
        is_as_stored = predictor.images.exif == "raw" or isinstance(image, LargeImage)
        return PhotographNotes(
            made_by=self.made_by,
            made_from=made_from,
            is_rotated=is_as_stored and _is_rotated(record.image),
            is_much_larger=is_much_larger,
            areas=areas,
        )


def _remove(path: Path) -> None:
    """Remove a file of an earlier call, if it is there.

    Raises:
        SwtformerError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SwtformerError(f"{path}: cannot be replaced: {error.strerror or error}.") from error


def _strays(masks: Path, records: Sequence[Record]) -> int:
    """Number of masks that are of none of the images."""
    own = {masks / f"{record.id}.png" for record in records}
    return sum(path not in own for path in masks.rglob("*.png"))


def _is_rotated(path: Path) -> bool:
    """Whether EXIF turns an image that was read a moment ago; False where it is gone since."""
    try:
        return has_rotation(path)
    except ImageError:
        return False


def _segmented(
    predictor: Predictor,
    record: Record,
    image: np.ndarray,
    out: Path,
    settings: PredictSettings,
    *,
    is_scene: bool,
) -> ImageAreas:
    """Segment one image, write its files, and tell its areas."""
    made = predictor.predict(image, is_scene=is_scene)
    mask = _inside(out, MASKS, f"{record.id}.png")
    write_mask(mask, made.labels)
    if settings.overlays:
        seen = thumbnail(seen_in_colour(image), side_px=OVERLAY_PX)
        picture = Image.fromarray(mask_overlay(seen, made.labels))
        path = _inside(out, OVERLAYS, f"{record.id}.jpg")
        write_with(path, lambda stream: picture.save(stream, format="JPEG", quality=90))
    probabilities = made.probabilities
    if probabilities is not None:
        path = _inside(out, PROBABILITIES, f"{record.id}.npz")
        write_with(path, lambda stream: np.savez_compressed(stream, probabilities=probabilities))
    height, width = made.labels.shape
    place = read_georeference(record.image, page=settings.page)
    if predictor.images.exif == "raw" or not _is_rotated(record.image):
        if place.tags:
            path = _inside(out, GEOREFERENCED, f"{record.id}.tif")
            write_label_tiff(path, [made.labels], size=(height, width), georeference=place.tags)
        for ending, content in ((WORLD, place.world), (PROJECTION, place.projection)):
            if content is not None:
                _write_bytes(mask.with_suffix(ending), content)
    return _areas(predictor, record, np.bincount(made.labels.reshape(-1), minlength=256), (height, width))


def _is_scene(record: Record, settings: PredictSettings) -> bool:
    """Whether an image is one that the images of the training are tiles of."""
    if settings.seen_as != "auto":
        return settings.seen_as == "scene"
    place = read_georeference(record.image, page=settings.page)
    return bool(place.tags) or place.world is not None


def _segmented_scene(
    predictor: Predictor, record: Record, scene: LargeImage, out: Path, settings: PredictSettings
) -> ImageAreas:
    """Segment a scene some rows at a time, write its mask, and tell its areas.

    Raises:
        ImageError: the model has to see an image whole, or a part of the scene cannot be read.
    """
    height, width = scene.shape[:2]
    with scene:
        if not isinstance(predictor, SegmentationPredictor):
            raise ImageError(
                f"{record.image}: has {width}×{height} pixels, and a model that makes maps has to see an "
                "image whole. Cut the scene into tiles, or train a network with `swtformer segment`."
            )
        counts = np.zeros(256, np.int64)

        def labels() -> Iterator[np.ndarray]:
            for part, _ in predictor.predict_rows(scene, is_scene=True):
                counts[:] += np.bincount(part.reshape(-1), minlength=256)
                yield part

        place = read_georeference(record.image, page=settings.page)
        path = _inside(out, GEOREFERENCED, f"{record.id}.tif")
        write_label_tiff(path, labels(), size=(height, width), georeference=place.tags)
    return _areas(predictor, record, counts, (height, width))


def _write_bytes(path: Path, content: bytes) -> None:
    write_with(path, lambda stream: stream.write(content))


def _areas(predictor: Predictor, record: Record, counts: np.ndarray, size: tuple[int, int]) -> ImageAreas:
    """Pixels and fractions of each class, by the (256,) pixels of each label."""
    height, width = size
    areas = {
        name: Area(pixels=count, fraction=round(count / (height * width), 6))
        for name, count in zip(
            (BACKGROUND, *predictor.classes), counts[: len(predictor.classes) + 1].tolist(), strict=True
        )
    }
    return ImageAreas(image=record.id, file=record.image, width=width, height=height, areas=areas)


def _table(rows: Sequence[ImageAreas]) -> Iterator[dict[str, object]]:
    for row in rows:
        for label, (name, area) in enumerate(row.areas.items()):
            values = (row.image, row.file, label, name, area.pixels, area.fraction)
            yield dict(zip(COLUMNS, values, strict=True))


def _inside(out: Path, folder: str, name: str) -> Path:
    """A file below the folder of the results.

    Raises:
        SwtformerError: a symlink leads out of it.
    """
    path = out / folder / name
    if not path.parent.resolve().is_relative_to(out.resolve()):
        raise SwtformerError(f"{path}: a link leads out of {out}; remove the link or name another `out`.")
    return path


def _refuse_folder(records: Sequence[Record], target: Run) -> None:
    """Results get a folder of their own: beside photographs or in a run they would mix with other files."""
    place = target.path.resolve()
    if any(Path(os.path.realpath(record.image)).parent == place for record in records):
        raise DataError(
            f"{target.path} holds the photographs, and the results would lie among them. Name another `out`, "
            f"such as {target.path / 'predictions'}."
        )
    if target.settings_file.is_file():
        raise DataError(
            f"{target.path} is a run, whose own masks lie where the results would. Name another `out`, "
            f"such as {target.path / 'predictions'}."
        )


def _refuse_overwriting(records: Sequence[Record], out: Path) -> None:
    """A photograph that lies where a result would be written is never replaced."""
    photographs = {os.path.realpath(record.image) for record in records}
    hit = [
        path
        for record in records
        for folder, ending in ENDINGS.items()
        if os.path.realpath(path := out / folder / f"{record.id}{ending}") in photographs
    ]
    if hit:
        shown = ", ".join(map(str, hit[:NAMED])) + (", …" if len(hit) > NAMED else "")
        raise DataError(f"{len(hit)} photographs would be overwritten: {shown}. Name another `out`.")


def _refuse_unreadable(records: Sequence[Record], predictor: Predictor) -> None:
    problems = []
    for record in records:
        try:
            image = open_scene_or_read(record.image, predictor.images)
        except ImageError as error:
            problems.append(str(error))
            continue
        if isinstance(image, LargeImage):
            image.close()
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:NAMED])
        raise DataError(f"{len(problems)} images cannot be read (predict.strict):\n{shown}")
