"""One image of the page: its photograph, maps, mask and truth side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from swtformer.datasets.images import read_image, read_mask
from swtformer.datasets.records import Record
from swtformer.errors import SwtformerError
from swtformer.label_values import BACKGROUND, IGNORED
from swtformer.report.colours import css
from swtformer.report.pictures import TILE_PX, data_uri, map_overlay, mask_overlay, thumbnail
from swtformer.store.maps import ClassActivationMaps
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
    """One column of a case.

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
    """One image with everything that was made from it.

    Attributes:
        id: record id.
        labels: its image-level labels in words.
        score: a figure with its name, where there is one.
        tiles: photograph, CAM, R-CAM, refined maps, mask, pseudo-mask, truth; columns that the whole run
            lacks are left out.
    """

    id: str
    labels: str
    score: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Columns:
    """Which columns the run can fill beside the photograph.

    Attributes:
        cam: class activation maps.
        rcam: R-CAMs.
        mask: masks made from the maps.
        truth: ground-truth masks.
        pseudo_mask: pseudo-masks.
        refiner: name of the refiner whose maps are shown; empty for none.
    """

    cam: bool = False
    rcam: bool = False
    mask: bool = False
    truth: bool = False
    pseudo_mask: bool = False
    refiner: str = ""


@dataclass(frozen=True)
class Context:
    """What all cases of a page share.

    Attributes:
        run: the run that made maps and masks.
        classes: class names of the run, which its masks count from 1.
        data_classes: class names of the data set, which labels and truth follow.
        columns: what to show beside the photographs.
        exif: how photographs are turned.
    """

    run: Run
    classes: tuple[str, ...]
    data_classes: tuple[str, ...]
    columns: Columns
    exif: Literal["raw", "apply"]


def build_case(record: Record, context: Context, *, score: str = "") -> Case:
    """Read and draw one image.

    A map, mask or truth that cannot be read leaves its tile with the reason.

    Raises:
        ImageError: the photograph cannot be read.
    """
    photograph = thumbnail(read_image(record.image, exif=context.exif))
    tiles = [Tile("Image", (Picture(data_uri(photograph), f"Image {record.id}"),))]
    tiles += _map_tiles(record, context, photograph)
    if context.columns.refiner:
        tiles.append(_refiner_tile(record, context, photograph))
    if context.columns.mask:
        path = context.run.mask_file(record.id)
        tiles.append(_mask_tile("Mask", record, path, context.classes, photograph))
    if context.columns.pseudo_mask:
        path = context.run.pseudo_mask_file(record.id)
        tiles.append(_mask_tile("Pseudo-mask", record, path, context.classes, photograph))
    if context.columns.truth:
        tiles.append(_mask_tile("Truth", record, record.mask, context.data_classes, photograph))
    return Case(record.id, describe_labels(record, context.data_classes), score, tuple(tiles))


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


def _map_tiles(record: Record, context: Context, photograph: np.ndarray) -> list[Tile]:
    columns = context.columns
    wanted = [name for name, is_made in (("CAM", columns.cam), ("R-CAM", columns.rcam)) if is_made]
    if not wanted:
        return []
    try:
        maps = ClassActivationMaps.load(context.run.map_file(record.id))
    except SwtformerError as error:
        return [Tile(name, note=_short(error)) for name in wanted]
    names = [label_name(int(value), context.classes) for value in maps.values]
    sources = {"CAM": maps.cam, "R-CAM": None if maps.rcam is None else maps.rcam[1:]}
    return [_map_tile(name, record, sources[name], names, photograph) for name in wanted]


def _refiner_tile(record: Record, context: Context, photograph: np.ndarray) -> Tile:
    caption = f"After {context.columns.refiner}"
    path = context.run.refined_map_file(record.id)
    if not path.is_file():
        return Tile(caption, note="none for this image")
    try:
        maps = ClassActivationMaps.load(path)
        refined = maps.channels("refined")[1:]
    except SwtformerError as error:
        return Tile(caption, note=_short(error))
    names = [label_name(int(value), context.classes) for value in maps.values]
    return _map_tile(caption, record, refined, names, photograph)


def _map_tile(
    caption: str, record: Record, maps: np.ndarray | None, names: Sequence[str], photograph: np.ndarray
) -> Tile:
    if maps is None:
        return Tile(caption, note="not made")
    if not len(maps):
        return Tile(caption, note="no class to map")
    side = TILE_PX if len(maps) == 1 else TILE_PX // 2
    small = thumbnail(photograph, side_px=side)
    pictures = tuple(
        Picture(data_uri(map_overlay(small, values)), f"{caption} of {record.id} for {name}", name)
        for values, name in list(zip(maps, names, strict=True))[:MAPS_PER_TILE]
    )
    rest = len(maps) - len(pictures)
    tall = photograph.shape[0] > photograph.shape[1]
    return Tile(caption, pictures, note=f"and {rest} more" if rest else "", tall=tall)


def _mask_tile(
    caption: str, record: Record, path: Path | None, classes: Sequence[str], photograph: np.ndarray
) -> Tile:
    if path is None or not path.is_file():
        return Tile(caption, note="none for this image")
    try:
        labels = read_mask(path)
    except SwtformerError as error:
        return Tile(caption, note=_short(error))
    values = [int(value) for value in np.unique(labels) if value]
    legend = tuple(Swatch(label_name(value, classes), css(voc_palette()[value])) for value in values)
    alt = f"{caption} of {record.id}: {', '.join(swatch.name for swatch in legend) or 'background only'}"
    picture = Picture(data_uri(mask_overlay(photograph, labels)), alt)
    return Tile(caption, (picture,), legend, note="" if legend else "background only")


def _short(error: SwtformerError) -> str:
    return f"cannot be read: {str(error)[:160]}"
