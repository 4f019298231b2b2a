"""Draws a sheet of pictures of a data set: thumbnails with their labels and ground truth."""

from __future__ import annotations

import colorsys
import random
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from swtformer.datasets.images import read_image
from swtformer.datasets.mask_images import read_mask
from swtformer.datasets.pixels.stored_pixels import seen_in_colour
from swtformer.datasets.records import ImageSet, Record
from swtformer.errors import DataError, ImageError, SwtformerError
from swtformer.settings import DataSettings
from swtformer.store.files import write_with

Colour = tuple[int, int, int]

COLUMNS = 8
TILE_PX = (232, 174)
CAPTION_PX = 52
GAP_PX = 14
MARGIN_PX = 28
HEADER_PX = 78

PAPER: Colour = (250, 250, 248)
CARD: Colour = (255, 255, 255)
FRAME: Colour = (222, 222, 218)
WELL: Colour = (238, 238, 235)
INK: Colour = (34, 36, 40)
FADED: Colour = (128, 130, 134)
ALARM: Colour = (176, 32, 38)
ALARM_GROUND: Colour = (252, 236, 235)

_OVERLAY = 0.22
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True)
class _Tile:
    """A chosen record; `picture` is its thumbnail, or None if it cannot be read, with the reason."""

    record: Record
    picture: Image.Image | None
    reason: str = ""


def picture_sheet(
    image_set: ImageSet,
    path: Path,
    *,
    count: int = 40,
    seed: int = 0,
    settings: DataSettings = DataSettings(),  # noqa: B008 - immutable
) -> None:
    """Draw a sheet of thumbnails with their labels; where a mask exists, its areas are tinted and outlined.

    Every class with a readable image is on the sheet, rare ones first; the other pictures are chosen at
    random. Images that cannot be read are marked. Pictures are in the order of their first class.

    Args:
        image_set: the set.
        path: .png, .jpg or .jpeg file to write.
        count: pictures on the sheet; fewer if the set has fewer, more if its classes need more.
        seed: seed of the random choice.
        settings: how the images are read.

    Raises:
        SwtformerError: the set is empty, or the file has another extension or cannot be written.
    """
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise SwtformerError(f"{path}: a picture sheet is written as .png or .jpg; choose such a name.")
    if not image_set.records:
        raise DataError(f"{image_set.name} holds no images to draw a sheet of.")
    colours = class_colours(len(image_set.classes))
    tiles = _pick(image_set, colours, count=count, seed=seed, settings=settings)
    sheet = _lay_out(image_set, tiles, colours)
    write_with(path, lambda stream: sheet.save(stream, format=format, quality=90, optimize=True))


def class_colours(count: int) -> list[Colour]:
    """Bright RGB colours that differ most between neighbours: hues a golden angle apart."""
    colours = []
    for index in range(count):
        value = 0.95 - 0.17 * (index // 3 % 3)
        red, green, blue = colorsys.hsv_to_rgb(0.02 + index * 0.618034, 0.78, value)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours


def _pick(
    image_set: ImageSet, colours: Sequence[Colour], *, count: int, seed: int, settings: DataSettings
) -> list[_Tile]:
    """Tiles that show every class, then others until there are enough."""
    records = image_set.records
    order = list(range(len(records)))
    random.Random(seed).shuffle(order)
    tiles: dict[int, _Tile] = {}

    def take(index: int) -> _Tile:
        tiles[index] = _tile(records[index], colours, settings)
        return tiles[index]

    by_class: dict[int, list[int]] = {}
    for index in order:
        for label in records[index].present or ():
            by_class.setdefault(label, []).append(index)
    covered: set[int] = set()
    for label in sorted(by_class, key=lambda label: len(by_class[label])):
        candidates = (index for index in by_class[label] if index not in tiles)
        while label not in covered and (candidate := next(candidates, None)) is not None:
            if take(candidate).picture is not None:
                covered.update(records[candidate].present or ())
    for index in order:
        if len(tiles) >= count:
            break
        if index not in tiles:
            take(index)
    last = len(image_set.classes)
    return [tiles[i] for i in sorted(tiles, key=lambda i: (min(records[i].present or (last,)), i))]


def _tile(record: Record, colours: Sequence[Colour], settings: DataSettings) -> _Tile:
    try:
        pixels = seen_in_colour(read_image(record.image, settings, thorough=True))
    except ImageError as error:
        return _Tile(record, None, str(error).removeprefix(f"{record.image}: "))
    picture = Image.fromarray(pixels)
    picture.thumbnail(TILE_PX, Image.Resampling.LANCZOS)
    if record.mask is not None:
        try:
            mask = read_mask(record.mask, record.colours)
        except DataError as error:
            return _Tile(record, picture, str(error).removeprefix(f"{record.mask}: "))
        if mask.shape != pixels.shape[:2]:
            return _Tile(record, picture, f"{mask.shape[1]}×{mask.shape[0]} pixels, not the image's size")
        picture = _with_mask(picture, mask, colours)
    return _Tile(record, picture)


def _with_mask(picture: Image.Image, mask: np.ndarray, colours: Sequence[Colour]) -> Image.Image:
    """The picture with each class of the mask tinted and outlined in its colour."""
    labels = np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))
    palette = np.zeros((256, 3), dtype=np.float32)
    palette[1 : len(colours) + 1] = np.asarray(colours, dtype=np.float32).reshape(-1, 3)[:255]
    is_class = (labels > 0) & (labels <= len(colours)) & (labels < 255)
    outline = is_class & _edges(np.where(is_class, labels, 0))
    weight = np.where(outline, 1.0, np.where(is_class, _OVERLAY, 0.0))[:, :, None]
    blended = np.asarray(picture, dtype=np.float32) * (1 - weight) + palette[labels] * weight
    return Image.fromarray(blended.round().astype(np.uint8))


def _edges(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels within two steps of another label."""
    padded = np.pad(labels, 2, mode="edge")
    height, width = labels.shape
    steps = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if 0 < y * y + x * x <= 4]
    edges = np.zeros(labels.shape, dtype=bool)
    for down, right in steps:
        edges |= padded[2 + down : 2 + down + height, 2 + right : 2 + right + width] != labels
    return edges


def _lay_out(image_set: ImageSet, tiles: Sequence[_Tile], colours: Sequence[Colour]) -> Image.Image:
    """All tiles on one sheet below a header."""
    columns = min(COLUMNS, max(len(tiles), 3))
    rows = -(-len(tiles) // columns)
    card = (TILE_PX[0], TILE_PX[1] + CAPTION_PX)
    width = 2 * MARGIN_PX + columns * (card[0] + GAP_PX) - GAP_PX
    height = HEADER_PX + rows * (card[1] + GAP_PX) - GAP_PX + MARGIN_PX
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = _fit(draw, image_set.name, _font(26), width - 2 * MARGIN_PX)
    draw.text((MARGIN_PX, 17), title, INK, _font(26))
    summary = _fit(draw, _summary(image_set, tiles), _font(14), width - 2 * MARGIN_PX)
    draw.text((MARGIN_PX, 50), summary, FADED, _font(14))
    for position, tile in enumerate(tiles):
        left = MARGIN_PX + position % columns * (card[0] + GAP_PX)
        top = HEADER_PX + position // columns * (card[1] + GAP_PX)
        sheet.paste(_card(tile, image_set.classes, colours), (left, top))
    return sheet


def _summary(image_set: ImageSet, tiles: Sequence[_Tile]) -> str:
    shown = Counter(label for tile in tiles for label in tile.record.present or ())
    parts = [
        f"{len(tiles):,} of {len(image_set):,} images",
        f"{len(shown):,} of {len(image_set.classes):,} classes",
        f"labels from {image_set.labels_from}",
    ]
    if masks := sum(tile.record.mask is not None for tile in tiles):
        parts.append(f"{masks:,} with ground-truth mask (tinted)")
    if unreadable := sum(tile.picture is None for tile in tiles):
        parts.append(f"{unreadable:,} cannot be read")
    return "   ·   ".join(parts)


def _card(tile: _Tile, classes: Sequence[str], colours: Sequence[Colour]) -> Image.Image:
    """One tile: the picture in its well, its id, its labels."""
    width, height = TILE_PX[0], TILE_PX[1] + CAPTION_PX
    card = Image.new("RGB", (width, height), CARD)
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, width, TILE_PX[1]), WELL)
    if tile.picture is None:
        _draw_unreadable(draw, tile.reason)
    else:
        left, top = (width - tile.picture.width) // 2, (TILE_PX[1] - tile.picture.height) // 2
        card.paste(tile.picture, (left, top))
        if tile.reason:
            draw.rectangle((0, TILE_PX[1] - 20, width, TILE_PX[1]), ALARM)
            note = _fit(draw, f"mask: {tile.reason}", _font(12), width - 12)
            draw.text((6, TILE_PX[1] - 18), note, CARD, _font(12))
    name = _fit(draw, tile.record.id[::-1], _font(12), width - 16)[::-1]  # the end of a path tells most
    draw.text((8, TILE_PX[1] + 6), name, FADED, _font(12))
    _draw_labels(draw, tile.record, classes, colours)
    draw.rectangle((0, 0, width - 1, height - 1), outline=ALARM if tile.picture is None else FRAME)
    return card


def _draw_unreadable(draw: ImageDraw.ImageDraw, reason: str) -> None:
    width, height = TILE_PX
    draw.rectangle((0, 0, width, height), ALARM_GROUND)
    middle, radius = (width // 2, 46), 20
    x, y = middle
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ALARM, width=3)
    draw.line((x - 8, y - 8, x + 8, y + 8), ALARM, 4)
    draw.line((x - 8, y + 8, x + 8, y - 8), ALARM, 4)
    draw.text((x, 82), "cannot be read", ALARM, _font(14), anchor="mm")
    for number, line in enumerate(textwrap.wrap(reason, 34, max_lines=4, placeholder=" …")):
        draw.text((x, 103 + 15 * number), line, INK, _font(12), anchor="mm")


def _draw_labels(
    draw: ImageDraw.ImageDraw, record: Record, classes: Sequence[str], colours: Sequence[Colour]
) -> None:
    """The record's class names in their colours; those that do not fit are counted."""
    left, top, right = 8, TILE_PX[1] + 25, TILE_PX[0] - 8
    font = _font(13)
    if not record.present:
        text = "labels not known" if record.present is None else "background only"
        draw.text((left, top + 2), text, FADED, font)
        return
    for number, label in enumerate(record.present):
        waiting = len(record.present) - number
        reserve = 0 if waiting == 1 else 30
        name = _fit(draw, classes[label], font, right - left - reserve - 14 if number == 0 else 10_000)
        chip = round(draw.textlength(name, font)) + 14
        if left + chip + reserve > right:
            draw.text((left + 2, top + 2), f"+{waiting}", FADED, font)
            return
        colour = colours[label]
        draw.rounded_rectangle((left, top, left + chip, top + 19), 5, colour)
        draw.text((left + 7, top + 9.5), name, _legible_on(colour), font, anchor="lm")
        left += chip + 5


def _legible_on(colour: Colour) -> Colour:
    red, green, blue = colour
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else CARD


def _fit(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, room_px: int) -> str:
    """The text, shortened with an ellipsis if it is too long."""
    if draw.textlength(text, font) <= room_px:
        return text
    while text and draw.textlength(f"{text}…", font) > room_px:
        text = text[:-1]
    return f"{text}…"


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, so that sheets look the same everywhere; it has Latin letters only."""
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise SwtformerError(
            "This Pillow was built without FreeType, which picture sheets need; install a wheel."
        )
    return font
