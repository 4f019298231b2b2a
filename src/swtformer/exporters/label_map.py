"""Masks as colours, as VOC and CVAT store them: labelmap.txt and SegmentationClass/<id>.png.

A line of labelmap.txt is ``name:red,green,blue:parts:actions``; lines that begin with # are comments.
Other tools write grey masks of label numbers, which count the labels of labelmap.txt from 0.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.datasets.background import is_background
from swtformer.datasets.containers import PNG_SIGNATURE, require_all_rows, require_whole
from swtformer.errors import DataError, SwtformerError
from swtformer.exporters.archive import Tree, open_tree, read_text, relative_files, root_of
from swtformer.exporters.base import require_free_names
from swtformer.exporters.fingerprints import read_fingerprints
from swtformer.exporters.reading import Correction, Ignored, Reading
from swtformer.label_values import IGNORED, IGNORED_NAME
from swtformer.store.masks import voc_palette

CLASS_FOLDER = "SegmentationClass"
OBJECT_FOLDER = "SegmentationObject"
IMAGE_FOLDER = "JPEGImages"
LIST_FILE = "ImageSets/Segmentation/default.txt"
MAP_FILE = "labelmap.txt"
NAME_FILES = ("classes.txt", "class_names.txt")
"""Lists of class names; that of labelme begins with the name of the background."""

PNG_SLACK_BYTES = 2**20
"""Space for the header and metadata of a PNG besides its pixels."""

PNG_HEADER_BYTES = 33

BIT_DEPTH_AT = 24
"""Place of the bits per channel in a PNG; Pillow stretches greys of fewer than 8."""

SHOWN = 3

_HEADER = "# label:color_rgb:parts:actions\n"
_MODES = frozenset({"P", "RGB", "RGBA", "L", "LA"})
_GREY = 0x010101


@dataclass(frozen=True)
class _Meaning:
    """What the pixels of masks mean.

    Attributes:
        colours: mask value (0, k+1 or 255) by colour 0xRRGGBB.
        numbers: mask value by the grey 0xNNNNNN of a label number.
        ignored: "drop" if no label means 255.
    """

    colours: Mapping[int, int]
    numbers: Mapping[int, int]
    ignored: Ignored = "keep"


def label_map_text(classes: Sequence[str], *, with_ignored: bool) -> str:
    """Content of labelmap.txt in the colours of `masks.voc_palette`.

    Args:
        classes: class names in the order of the mask values 1, 2, …
        with_ignored: whether 255 has a line. For CVAT it is a label, "ignored", which the task must have.

    Raises:
        SwtformerError: the file cannot hold a class name.
    """
    require_free_names(classes)
    for name in classes:
        if ":" in name or name.startswith("#") or not name.isprintable() or name != name.strip():
            raise SwtformerError(
                f"The class name {name!r} cannot be written to labelmap.txt, which allows no colon, no line "
                "break, no space at the ends and no # in front. Rename the class, or use another format."
            )
    palette = voc_palette()
    lines = [("background", 0), *((name, k + 1) for k, name in enumerate(classes))]
    lines += [(IGNORED_NAME, IGNORED)] if with_ignored else []
    return _HEADER + "".join(f"{name}:{','.join(map(str, palette[value]))}::\n" for name, value in lines)


def read_class_masks(path: Path, reading: Reading) -> Iterator[Correction]:
    """Masks of SegmentationClass in a folder or zip file, by the colours of labelmap.txt.

    A mask of greys that are not such colours holds label numbers. Transparent pixels are background.

    An image that is listed in ImageSets/Segmentation but has no mask is all background: CVAT writes no
    mask where nothing is drawn. Without labelmap.txt the colours and numbers are those that `write` uses, for
    the classes in classes.txt or else the run's.

    Raises:
        DataError: the file as a whole cannot be used.
    """
    with open_tree(path) as tree:
        root = root_of(tree, CLASS_FOLDER)
        meaning = _meaning(tree, root, reading)
        exported = read_fingerprints(tree, root)
        reading.expect(exported)
        masks = relative_files(tree, f"{root}{CLASS_FOLDER}/", ".png")
        by_number: set[int] = set()
        for name, file in masks.items():
            source = f"{path}: {file}"
            if (id := reading.image(name, source)) is not None:
                labels, has_numbers = _read_mask(tree, file, id, meaning, reading)
                if labels is not None:
                    by_number.update(np.unique(labels).tolist() if has_numbers else ())
                    yield Correction(id, labels, source, exported.get(id), meaning.ignored)
        if by_number and by_number <= {0, IGNORED}:
            message = (
                f"{path}: the grey masks hold only 0 and 255, and 255 means ignored. Expected label numbers, "
                f"such as 1 for {reading.classes[0]!r}."
            )
            reading.problems.fatal("mask", message)
        for name, source in _undrawn(tree, root, known=reading.images).items():
            if name not in masks and (id := reading.image(name, source)) is not None:
                labels = np.zeros(reading.images[id].size, dtype=np.uint8)
                yield Correction(id, labels, source, exported.get(id), meaning.ignored, is_drawn=False)
        _refuse_other_masks(tree, root, reading)


def _undrawn(tree: Tree, root: str, *, known: Container[str]) -> dict[str, str]:
    """Images that a list names, each with its place in the list; names of ours may end in a blank or tab."""
    listed: dict[str, str] = {}
    for file in relative_files(tree, f"{root}ImageSets/Segmentation/", ".txt").values():
        for line in read_text(tree, file).splitlines():
            if name := line if line in known else line.strip():
                listed.setdefault(name, f"{tree.path}: {file}: {name}")
    return listed


def _refuse_other_masks(tree: Tree, root: str, reading: Reading) -> None:
    """Note masks that are not PNG files: without them their images would be background."""
    for suffix in (".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".npy"):
        for file in relative_files(tree, f"{root}{CLASS_FOLDER}/", suffix).values():
            reading.problems.fatal("mask", f"{tree.path}: {file}: expected a mask as PNG, got {suffix}.")


def _meaning(tree: Tree, root: str, reading: Reading) -> _Meaning:
    palette = voc_palette()
    name = root + MAP_FILE
    if name not in tree.names:
        own = _numbered(tree, root, reading) | {0: 0, IGNORED: IGNORED}
        return _Meaning(
            {_code(palette[number]): value for number, value in own.items()},
            {number * _GREY: value for number, value in own.items()},
        )
    values: dict[int, int] = {}
    numbers: dict[int, int] = {}
    entries = [
        (place, line)
        for place, line in enumerate(read_text(tree, name).splitlines(), start=1)
        if line.strip() and not line.strip().startswith("#")
    ]
    for number, (place, line) in enumerate(entries):
        source = f"{tree.path}: {name}:{place}"
        label, *rest = line.split(":")
        value = reading.value(label, source)
        colour = _colour(rest[0] if rest else "")
        if colour is None:
            raise DataError(f"{source}: expected name:red,green,blue:parts:actions, got {line!r:.80}.")
        if colour in values:
            raise DataError(f"{source}: two labels have the colour {_shown(colour)}; give each its own.")
        if value is not None:
            values[colour] = value
            numbers[number * _GREY] = value
    conventional = {_code(palette[0]): 0, _code(palette[IGNORED]): IGNORED}
    ignored: Ignored = "keep" if IGNORED in values.values() else "drop"
    return _Meaning(conventional | values, {IGNORED * _GREY: IGNORED} | numbers, ignored)


def _numbered(tree: Tree, root: str, reading: Reading) -> dict[int, int]:
    """Mask values by label number: by a list of class names, or else the run's own."""
    file = next((root + name for name in NAME_FILES if root + name in tree.names), None)
    if file is None:
        reading.warn_of_order(f"{tree.path}: {root}{CLASS_FOLDER}", first=1)
        return {value: value for value in range(1, len(reading.classes) + 1)}
    names = [line.strip() for line in read_text(tree, file).splitlines()]
    names = [name for name in names if name and name != "__ignore__"]
    first = 0 if names and is_background(names[0]) else 1
    values = {number: reading.value(name, f"{tree.path}: {file}") for number, name in enumerate(names, first)}
    return {number: value for number, value in values.items() if value is not None and number < IGNORED}


def _colour(text: str) -> int | None:
    parts = text.split(",")
    try:
        channels = [int(part) for part in parts]
    except ValueError:
        return None
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        return None
    return _code(channels)


def _code(colour: Sequence[int] | np.ndarray) -> int:
    red, green, blue = (int(channel) for channel in colour)
    return red << 16 | green << 8 | blue


def _shown(code: int) -> str:
    return f"({code >> 16}, {code >> 8 & 255}, {code & 255})"


def _read_mask(
    tree: Tree, name: str, id: str, meaning: _Meaning, reading: Reading
) -> tuple[np.ndarray | None, bool]:
    """(H, W) uint8 labels, None if the mask cannot be used, which is noted; and whether it holds numbers."""
    source = f"{tree.path}: {name}"
    height, width = reading.images[id].size
    try:
        # Eight bytes hold a pixel of any PNG, uncompressed.
        data = tree.read(name, 8 * (height + 1) * (width + 1) + PNG_SLACK_BYTES)
        if not reading.has_size(id, _png_size(data), source):
            return None, False
        require_whole(data, "PNG")
        require_all_rows(data)
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.mode not in _MODES or (image.mode == "L" and data[BIT_DEPTH_AT] != 8):
            raise ValueError(f"expected colours, a palette or 8-bit greys, got mode {image.mode}")
        codes, is_visible = _codes(image)
    except DataError as error:
        reading.problems.fatal("mask", str(error), id=id)
        return None, False
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        reading.problems.fatal("mask", f"{source}: is not a usable mask: {error}.", id=id)
        return None, False
    used, inverse = np.unique(codes[is_visible], return_inverse=True)
    has_numbers = bool(set(used.tolist()) - meaning.colours.keys()) and not np.any(used % _GREY)
    known = meaning.numbers if has_numbers else meaning.colours
    strays = [code for code in used.tolist() if code not in known]
    if strays:
        shown = ", ".join(str(code % 256) if has_numbers else _shown(code) for code in strays[:SHOWN])
        more = f" and {len(strays) - SHOWN} more" if len(strays) > SHOWN else ""
        what = "number" if has_numbers else "colour"
        message = f"{source}: {MAP_FILE} has no label with the {what} {shown}{more}."
        reading.problems.fatal("unknown_colour", message, id=id)
        return None, False
    labels = np.zeros(codes.shape, dtype=np.uint8)
    labels[is_visible] = np.array([known[code] for code in used.tolist()], dtype=np.uint8)[inverse]
    return labels, has_numbers


def _codes(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) colours 0xRRGGBB, and (H, W) bool whether a pixel is visible.

    Raises:
        ValueError: a pixel is half transparent.
    """
    pixels = np.asarray(image.convert("RGBA" if "A" in image.mode else "RGB")).astype(np.uint32)
    is_visible = np.ones(pixels.shape[:2], dtype=bool)
    if "A" in image.mode:
        is_visible = pixels[..., 3] == 255
        if np.any(pixels[~is_visible, 3]):
            raise ValueError("it has half transparent pixels; draw without soft edges")
    return pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], is_visible


def _png_size(data: bytes) -> tuple[int, int]:
    """(height, width) by a PNG's header, which is checked before anything is decoded."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < PNG_HEADER_BYTES:
        raise ValueError("it is not a PNG")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width
