"""Masks as colours, as VOC and CVAT store them: labelmap.txt and SegmentationClass/<id>.png.

A line of labelmap.txt is ``name:red,green,blue:parts:actions``; lines that begin with # are comments.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.datasets.containers import PNG_SIGNATURE, require_whole
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

PNG_SLACK_BYTES = 2**20
"""Space for the header and metadata of a PNG besides its pixels."""

PNG_HEADER_BYTES = 33

SHOWN = 3

_HEADER = "# label:color_rgb:parts:actions\n"
_PNG_DAMAGE = (OSError, SyntaxError, ValueError, LookupError, EOFError)


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

    An image that is listed in ImageSets/Segmentation but has no mask is all background: CVAT writes no
    mask where nothing is drawn. Without labelmap.txt the colours are those that `write` uses.

    Raises:
        DataError: the file as a whole cannot be used.
    """
    with open_tree(path) as tree:
        root = root_of(tree, CLASS_FOLDER)
        colours, ignored = _read_map(tree, root + MAP_FILE, reading)
        exported = read_fingerprints(tree, root)
        reading.expect(exported)
        masks = relative_files(tree, f"{root}{CLASS_FOLDER}/", ".png")
        for name, file in masks.items():
            source = f"{path}: {file}"
            if (id := reading.image(name, source)) is not None:
                labels = _read_mask(tree, file, id, colours, reading)
                if labels is not None:
                    yield Correction(id, labels, source, exported.get(id), ignored)
        for name, source in _undrawn(tree, root, masks).items():
            if (id := reading.image(name, source)) is not None:
                labels = np.zeros(reading.images[id].size, dtype=np.uint8)
                yield Correction(id, labels, source, exported.get(id), ignored)


def _undrawn(tree: Tree, root: str, drawn: Collection[str]) -> dict[str, str]:
    """Images that a list names but that have no mask, each with its place in the list."""
    listed: dict[str, str] = {}
    for file in relative_files(tree, f"{root}ImageSets/Segmentation/", ".txt").values():
        for line in read_text(tree, file).splitlines():
            name = line.strip()
            if name and name not in drawn:
                listed.setdefault(name, f"{tree.path}: {file}: {name}")
    return listed


def _read_map(tree: Tree, name: str, reading: Reading) -> tuple[dict[int, int], Ignored]:
    """Mask value (0, k+1 or 255) by colour 0xRRGGBB, and "drop" if no label means 255."""
    palette = voc_palette()
    if name not in tree.names:
        own = (*range(len(reading.classes) + 1), IGNORED)
        return {_code(palette[value]): value for value in own}, "keep"
    values: dict[int, int] = {}
    for number, line in enumerate(read_text(tree, name).splitlines(), start=1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        source = f"{tree.path}: {name}:{number}"
        label, *rest = line.split(":")
        value = reading.value(label, source)
        colour = _colour(rest[0] if rest else "")
        if colour is None:
            raise DataError(f"{source}: expected name:red,green,blue:parts:actions, got {line!r:.80}.")
        if colour in values:
            raise DataError(f"{source}: two labels have the colour {_shown(colour)}; give each its own.")
        if value is not None:
            values[colour] = value
    ignored: Ignored = "keep" if IGNORED in values.values() else "drop"
    return {_code(palette[0]): 0, _code(palette[IGNORED]): IGNORED} | values, ignored


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
    tree: Tree, name: str, id: str, colours: Mapping[int, int], reading: Reading
) -> np.ndarray | None:
    """(H, W) uint8 labels; None if the mask cannot be used, which is noted."""
    source = f"{tree.path}: {name}"
    height, width = reading.images[id].size
    try:
        # Eight bytes hold a pixel of any PNG, uncompressed.
        data = tree.read(name, 8 * (height + 1) * (width + 1) + PNG_SLACK_BYTES)
        if not reading.has_size(id, _png_size(data), source):
            return None
        require_whole(data, "PNG")
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.mode not in {"P", "RGB"}:
            raise ValueError(f"expected colours or a palette, got mode {image.mode}")
        pixels = np.asarray(image.convert("RGB")).astype(np.uint32)
    except DataError as error:
        reading.problems.fatal("mask", str(error), id=id)
        return None
    except _PNG_DAMAGE as error:
        reading.problems.fatal("mask", f"{source}: is not a usable mask: {error}.", id=id)
        return None
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    used, inverse = np.unique(codes, return_inverse=True)
    strays = [code for code in used.tolist() if code not in colours]
    if strays:
        shown = ", ".join(map(_shown, strays[:SHOWN]))
        more = f" and {len(strays) - SHOWN} more" if len(strays) > SHOWN else ""
        message = f"{source}: {MAP_FILE} has no label with the colour {shown}{more}."
        reading.problems.fatal("unknown_colour", message, id=id)
        return None
    table = np.array([colours[code] for code in used.tolist()], dtype=np.uint8)
    return table[inverse].reshape(codes.shape)


def _png_size(data: bytes) -> tuple[int, int]:
    """(height, width) by a PNG's header, which is checked before anything is decoded."""
    if not data.startswith(PNG_SIGNATURE) or len(data) < PNG_HEADER_BYTES:
        raise ValueError("it is not a PNG")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width
