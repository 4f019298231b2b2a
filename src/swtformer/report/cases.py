"""One image of the page: its photograph, maps, mask and truth side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swtformer.datasets.images import read_image
from swtformer.datasets.mask_colours import MaskColours
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.records import Record
from swtformer.errors import SwtformerError
from swtformer.label_values import BACKGROUND, IGNORED
from swtformer.report.colours import css
from swtformer.report.pictures import TILE_PX, data_uri, map_overlay, mask_overlay, thumbnail
from swtformer.settings import DataSettings
from swtformer.store.maps import ClassActivationMaps, Source
from swtformer.store.masks import voc_palette
from swtformer.store.run import Run

MAPS_PER_TILE = 4
"""Classes whose maps share one tile; further ones are counted."""


@dataclass(frozen=True)
class Picture:
    """One picture: its data URI, what it shows in words, and the class that it belongs to, if to one."""

    uri: str
    alt: str
    label: str = ""


@dataclass(frozen=True)
class Swatch:
    """A class in a mask and the colour that it has there."""

    name: str
    colour: str


@dataclass(frozen=True)
class Tile:
    """One column of a case: what was made, or a note in its place.

    Attributes:
        caption: what the column shows.
        pictures: one, or one per class for maps of several classes; empty where nothing was made.
        legend: colours of a mask.
        note: shown beside the pictures, or in their place.
        tall: whether the pictures are higher than wide.
    """

    caption: str
    pictures: tuple[Picture, ...] = ()
    legend: tuple[Swatch, ...] = ()
    note: str = ""
    tall: bool = False


@dataclass(frozen=True)
class Case:
    """One image with its labels in words, a figure with its name, and a tile for each of `Columns`."""

    id: str
    labels: str
    score: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Columns:
    """Which columns the run can fill beside the photograph; `refiner` names that of refined maps, `rounds`
    those whose pseudo-masks are shown side by side."""

    cam: bool = False
    rcam: bool = False
    refiner: str = ""
    mask: bool = False
    pseudo_mask: bool = False
    rounds: tuple[int, ...] = ()
    truth: bool = False


@dataclass(frozen=True)
class Context:
    """What all cases of a page share.

    Attributes:
        run: the run that made maps and masks.
        classes: class names of the run, which its masks count from 1.
        data_classes: class names of the data set, which labels and truth follow.
        columns: what to show beside the photographs.
        settings: how photographs are read.
    """

    run: Run
    classes: tuple[str, ...]
    data_classes: tuple[str, ...]
    columns: Columns
    settings: DataSettings


def build_case(record: Record, context: Context, *, score: str = "") -> Case:
    """Read and draw one image.

    A map, mask or truth that cannot be read leaves its tile with the reason.

    Raises:
        ImageError: the photograph cannot be read.
    """
    run, columns, id = context.run, context.columns, record.id
    photograph = thumbnail(seen_in_colour(read_image(record.image, context.settings)))
    tiles = [Tile("Image", (Picture(data_uri(photograph), f"Image {id}"),))]
    maps: list[tuple[bool | str, str, Source, Path]] = [
        (columns.cam, "CAM", "cam", run.map_file(id)),
        (columns.rcam, "R-CAM", "rcam", run.map_file(id)),
        (columns.refiner, f"After {columns.refiner}", "refined", run.refined_map_file(id)),
    ]
    tiles += [
        _map_tile(caption, id, source, path, context.classes, photograph)
        for is_shown, caption, source, path in maps
        if is_shown
    ]
    masks = [
        (columns.mask, "Mask", run.mask_file(id), context.classes),
        (columns.pseudo_mask, "Pseudo-mask", run.pseudo_mask_file(id), context.classes),
        *(
            (True, f"Round {number}", run.round(number).pseudo_mask_file(id), context.classes)
            for number in columns.rounds
        ),
        (columns.truth, "Truth", record.mask, context.data_classes),
    ]
    tiles += [
        _mask_tile(caption, id, path, classes, photograph, record.colours if path == record.mask else None)
        for is_shown, caption, path, classes in masks
        if is_shown
    ]
    return Case(id, describe_labels(record, context.data_classes), score, tuple(tiles))


def describe_labels(record: Record, classes: Sequence[str]) -> str:
    """Image-level labels in words."""
    if record.present is None:
        return "labels not known"
    return ", ".join(classes[index] for index in record.present) or "no class"


def label_name(value: int, classes: Sequence[str]) -> str:
    """Name of a mask value."""
    if value == IGNORED:
        return "ignored"
    return (BACKGROUND, *classes)[value] if value <= len(classes) else f"value {value}"


def _map_tile(
    caption: str, id: str, source: Source, path: Path, classes: Sequence[str], photograph: np.ndarray
) -> Tile:
    """The tile of one kind of maps, all classes of the image in it."""
    if not path.is_file():
        return Tile(caption, note="none for this image")
    try:
        loaded = ClassActivationMaps.load(path)
        if source == "rcam" and loaded.rcam is None:
            return Tile(caption, note="not made")
        maps = loaded.channels(source)[1:]
    except SwtformerError as error:
        return Tile(caption, note=_short(error))
    if not len(maps):
        return Tile(caption, note="no class to map")
    names = [label_name(int(value), classes) for value in loaded.values]
    side = TILE_PX if len(maps) == 1 else TILE_PX // 2
    small = thumbnail(photograph, side_px=side)
    pictures = tuple(
        Picture(data_uri(map_overlay(small, values)), f"{caption} of {id} for {name}", name)
        for values, name in list(zip(maps, names, strict=True))[:MAPS_PER_TILE]
    )
    rest = len(maps) - len(pictures)
    tall = photograph.shape[0] > photograph.shape[1]
    return Tile(caption, pictures, note=f"and {rest} more" if rest else "", tall=tall)


def _mask_tile(
    caption: str,
    id: str,
    path: Path | None,
    classes: Sequence[str],
    photograph: np.ndarray,
    colours: MaskColours | None,
) -> Tile:
    if path is None or not path.is_file():
        return Tile(caption, note="none for this image")
    try:
        labels = read_mask(path, colours)
    except SwtformerError as error:
        return Tile(caption, note=_short(error))
    values = [int(value) for value in np.unique(labels) if value]
    legend = tuple(Swatch(label_name(value, classes), css(voc_palette()[value])) for value in values)
    alt = f"{caption} of {id}: {', '.join(swatch.name for swatch in legend) or 'background only'}"
    picture = Picture(data_uri(mask_overlay(photograph, labels)), alt)
    return Tile(caption, (picture,), legend, note="" if legend else "background only")


def _short(error: SwtformerError) -> str:
    return f"cannot be read: {str(error)[:160]}"
