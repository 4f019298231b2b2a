"""Figures 1 and 4 of the paper: maps laid over photographs, in a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swtformer.exporters.objects import box_of, objects
from swtformer.report.pictures import map_overlay, thumbnail
from swtformer.store.files import write_with

TILE_PX = 240
GAP_PX = 8
CAPTION_PX = 22
LARGE, SMALL = 0.1, 0.03
"""Parts of the image from which an object is large, and up to which it is small."""
RED, YELLOW, INK = (220, 30, 30), (250, 200, 0), (30, 30, 34)


@dataclass(frozen=True)
class Boxes:
    """Boxes around the objects of an image, as fractions of its height and width.

    Attributes:
        large: of objects of at least a tenth of the image.
        small: of objects of at most 3 % of it.
    """

    large: tuple[tuple[float, float, float, float], ...] = ()
    small: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Picture:
    """One tile: a photograph, a map over it where there is one, boxes, and what stands below."""

    photograph: np.ndarray
    values: np.ndarray | None = None
    boxes: Boxes = Boxes()
    caption: str = ""


def boxes_of(labels: np.ndarray) -> Boxes:
    """Boxes around the large and the small objects of a label image.

    Args:
        labels: (H, W) uint8; 0 is background, 255 is ignored. An object is a connected part of a class; parts
            of less than one in two thousand pixels are crumbs of the annotation.
    """
    height, width = labels.shape
    large, small = [], []
    for _, region in objects(np.where(labels == 255, 0, labels).astype(np.uint8), "component"):
        part = region.mean()
        rows, columns = box_of(region)
        box = (rows.start / height, columns.start / width, rows.stop / height, columns.stop / width)
        if part >= LARGE:
            large.append(box)
        elif 1 / 2000 <= part <= SMALL:
            small.append(box)
    return Boxes(tuple(large), tuple(small))


def draw_grid(rows: Iterable[Sequence[Picture]], headings: Sequence[str], path: Path) -> None:
    """Write a grid of pictures as PNG.

    Args:
        rows: pictures from left to right; shorter rows end early.
        headings: above the columns, of one line or two; none where empty.
        path: the file.
    """
    drawn = [[_tile(picture) for picture in row] for row in rows]
    columns = max(map(len, drawn))
    heights = [max(tile.height for tile in row) for row in drawn]
    top = CAPTION_PX * max((heading.count("\n") + 1 for heading in headings), default=0)
    size = (columns * (TILE_PX + GAP_PX) + GAP_PX, top + sum(heights) + GAP_PX * (len(drawn) + 1))
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for place, heading in enumerate(headings):
        pen.text((GAP_PX + place * (TILE_PX + GAP_PX), GAP_PX // 2), heading, fill=INK, font=font)
    y = top + GAP_PX
    for row, height in zip(drawn, heights, strict=True):
        for place, tile in enumerate(row):
            sheet.paste(tile, (GAP_PX + place * (TILE_PX + GAP_PX), y))
        y += height + GAP_PX
    write_with(path, lambda stream: sheet.save(stream, format="PNG"))


def _tile(picture: Picture) -> Image.Image:
    small = thumbnail(picture.photograph, side_px=TILE_PX)
    shown = small if picture.values is None else map_overlay(small, picture.values)
    image = Image.fromarray(shown)
    pen = ImageDraw.Draw(image)
    for boxes, colour in ((picture.boxes.large, RED), (picture.boxes.small, YELLOW)):
        for top, left, bottom, right in boxes:
            corners = [
                left * image.width,
                top * image.height,
                right * image.width - 1,
                bottom * image.height - 1,
            ]
            pen.rectangle(corners, outline=colour, width=2)
    tile = Image.new("RGB", (TILE_PX, image.height + (CAPTION_PX if picture.caption else 0)), "white")
    tile.paste(image, (0, 0))
    if picture.caption:
        font = ImageFont.load_default(13)
        ImageDraw.Draw(tile).text((0, image.height + 3), picture.caption, fill=INK, font=font)
    return tile
