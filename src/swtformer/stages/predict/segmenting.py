"""The masks of single photographs, and what else is asked for, as files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.datasets.georeference import read_georeference
from swtformer.datasets.images import has_rotation
from swtformer.datasets.pixels.large_images import LargeImage
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.read_ahead import read_scenes_ahead
from swtformer.datasets.records import Record
from swtformer.datasets.value_range import settle
from swtformer.errors import ImageError, SwtformerError
from swtformer.inference.predictor import Predictor, SegmentationPredictor, load_predictor
from swtformer.label_values import BACKGROUND
from swtformer.report.pictures import mask_overlay, thumbnail
from swtformer.settings import ImageSettings, PredictSettings
from swtformer.settings.shaping import shaping
from swtformer.sharing import Work
from swtformer.store.failures import Failure
from swtformer.store.files import digest, file_stamp, sha256, write_with
from swtformer.store.label_tiff import write_label_tiff
from swtformer.store.masks import write_mask
from swtformer.store.notes import Area, ImageAreas
from swtformer.store.unfinished import PhotographNotes, add_note, open_notes

MASKS, OVERLAYS, PROBABILITIES, GEOREFERENCED = "masks", "overlays", "probabilities", "georeferenced"
ENDINGS = {MASKS: ".png", OVERLAYS: ".jpg", PROBABILITIES: ".npz", GEOREFERENCED: ".tif"}
"""Folders of the results, and how the name of a file in each ends."""
WORLD, PROJECTION = ".pgw", ".prj"
"""Endings of the files beside a mask that place it on the earth, where such files lie beside its image."""
OVERLAY_PX = 2048
"""Longer side of an overlay at most; masks keep the size of their image."""
MUCH_LARGER = 4
"""Images this many times larger than any training image may be scenes."""


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
            self.predictor.classes,
            self.predictor.images.images_alone(),
            shaping(self.settings, "predict"),
            self.settings.overlays,
            self.settings.probabilities,
        )

    def settle(self, records: Sequence[Record]) -> tuple[str, ...]:
        """Decide how the photographs are read; see `value_range.settle`."""
        paths = [record.image for record in records]
        self.images, remarks = settle(paths, self.predictor.images, set_by="as for the model")
        self.predictor.images = self.images
        return remarks

    def has_made(self, record: Record, left: Mapping[str, PhotographNotes]) -> bool:
        """Whether an interrupted call left a photograph's results, and it has not changed since."""
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
                    remove(_inside(self.out, folder, f"{record.id}{ending}"))
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


def remove(path: Path) -> None:
    """Remove a file of an earlier call, if it is there.

    Raises:
        SwtformerError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SwtformerError(f"{path}: cannot be replaced: {error.strerror or error}.") from error


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


def _inside(out: Path, folder: str, name: str) -> Path:
    """A file below the folder of the results.

    Raises:
        SwtformerError: a symlink leads out of it.
    """
    path = out / folder / name
    if not path.parent.resolve().is_relative_to(out.resolve()):
        raise SwtformerError(f"{path}: a link leads out of {out}; remove the link or name another `out`.")
    return path
