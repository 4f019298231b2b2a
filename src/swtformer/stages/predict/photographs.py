"""Masks of photographs that have no labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.allocator import keep_freed_memory
from swtformer.datasets.pixels.large_images import LargeImage
from swtformer.datasets.read_ahead import open_scene_or_read
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, ImageError, SettingsError, SwtformerError, some
from swtformer.inference.inputs import find_inputs
from swtformer.inference.predictor import Predictor
from swtformer.label_values import BACKGROUND
from swtformer.progress import Progress, shown
from swtformer.progress_view import shows_progress
from swtformer.settings import PredictSettings
from swtformer.sharing import Team, open_team
from swtformer.short_repr import ShortRepr
from swtformer.stages.predict.segmenting import ENDINGS, MASKS, MUCH_LARGER, Segmenting, remove
from swtformer.store.failures import Failure, write_failures
from swtformer.store.files import make_folder, sha256, write_json, write_rows
from swtformer.store.notes import Areas, ImageAreas, PredictionNotes, write_notes
from swtformer.store.run import Run
from swtformer.store.sole_writer import sole_writer
from swtformer.store.unfinished import PhotographNotes, forget, take_up

NAMED = 5
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
            remove(file)
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


def _strays(masks: Path, records: Sequence[Record]) -> int:
    """Number of masks that are of none of the images."""
    own = {masks / f"{record.id}.png" for record in records}
    return sum(path not in own for path in masks.rglob("*.png"))


def _table(rows: Sequence[ImageAreas]) -> Iterator[dict[str, object]]:
    for row in rows:
        for label, (name, area) in enumerate(row.areas.items()):
            values = (row.image, row.file, label, name, area.pixels, area.fraction)
            yield dict(zip(COLUMNS, values, strict=True))


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
        raise DataError(f"{len(hit)} photographs would be overwritten: {some(hit)}. Name another `out`.")


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
