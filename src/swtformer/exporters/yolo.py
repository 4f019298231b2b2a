"""YOLO segmentation: one text file per image with a polygon per line, in fractions of the image's size.

The polygons run along the edges of the pixels. They have no holes; larger polygons come first, so that an
object in a hole survives readers that paint in order, as Ultralytics' and ours do.

Ultralytics finds the labels of an image by replacing the last folder `images` in its path with `labels`
(img2label_paths in its data/utils.py), so no id may contain a folder of this name: images/x becomes x.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from swtformer.errors import DataError, SwtformerError
from swtformer.exporters.archive import (
    Tree,
    has_folder,
    open_tree,
    read_text,
    relative_files,
    root_of,
)
from swtformer.exporters.base import ExchangeFormat, LabelledImage, copy_image, new_folder, require_free_names
from swtformer.exporters.fingerprints import FILE, fingerprint, fingerprints_text, read_fingerprints
from swtformer.exporters.outlines import Outline, fill, outlines
from swtformer.exporters.reading import Canvas, Correction, Ignored, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import write_text

IMAGE_FOLDER = "images"
LABEL_FOLDER = "labels"
DATA_FILE = "data.yaml"

_VALUES_OF_A_BOX = 5


@EXPORTERS.register("yolo")
class YoloExporter(ExchangeFormat):
    """A folder with data.yaml, labels/<id>.txt and, if asked for, images.

    File names leave out folders called images; `read` finds the ids again.
    """

    suffix = ""
    is_lossless = False
    expects = "a folder or .zip file with labels"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write a line per connected part, without connections over corners; class numbers count from 0.

        Raises:
            SwtformerError: see `Exporter.write`; also if two ids differ only in a folder called images.
        """
        require_free_names(classes)
        holes: list[int] = []
        undecided: list[int] = []
        ids: dict[str, str] = {}
        fingerprints: dict[str, str] = {}
        photographs = 0
        with new_folder(out) as folder:
            for item in images:
                name = _flat(item.id)
                if name in ids:
                    raise SwtformerError(
                        f"The images {ids[name]!r} and {item.id!r} would share the label file "
                        f"{LABEL_FOLDER}/{name}.txt, because YOLO's tools allow only one folder "
                        f"{IMAGE_FOLDER}; rename one of them, or use another format."
                    )
                ids[name] = item.id
                parts, filled = _parts(item.labels)
                write_text(folder / LABEL_FOLDER / f"{name}.txt", _lines(parts, item.size))
                copy_image(replace(item, file_name=_flat(item.file_name)), folder / IMAGE_FOLDER, settings)
                photographs += settings.images == "copy" and item.image is not None
                holes.append(filled)
                undecided.append(int(np.count_nonzero(item.labels == IGNORED)))
                fingerprints[item.id] = fingerprint(_painted_parts(parts, item.size))
            names = yaml.safe_dump(dict(enumerate(classes)), allow_unicode=True, sort_keys=True)
            indented = "".join(f"  {line}\n" for line in names.splitlines())
            write_text(
                folder / DATA_FILE,
                f"train: {IMAGE_FOLDER}\n# The same images: split them for a real validation.\n"
                f"val: {IMAGE_FOLDER}\nnames:\n{indented}",
            )
            write_text(folder / FILE, fingerprints_text(fingerprints))
        warnings = _warnings(holes, undecided if settings.ignored == "keep" else [])
        if photographs < len(ids):
            warnings.append(
                f"{len(ids) - photographs} photographs are missing in {out / IMAGE_FOLDER}, where "
                f"{DATA_FILE} expects them: put them there, named like the label files, or export with "
                "`data` and export.images copy."
            )
        return warnings

    def recognises(self, path: Path) -> bool:
        """A folder or zip file with labels."""
        return has_folder(path, LABEL_FOLDER)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks from polygons, painted in the order of the lines; `path` may be a zip file too.

        Without data.yaml, class numbers are those of the run.
        """
        with open_tree(path) as tree:
            root = root_of(tree, LABEL_FOLDER)
            names = _names(tree, root + DATA_FILE) or dict(enumerate(reading.classes))
            exported = read_fingerprints(tree, root)
            reading.expect(exported)
            ids = _ids_by_name(reading.images) | _ids_by_name(exported)
            for name, file in relative_files(tree, f"{root}{LABEL_FOLDER}/", ".txt").items():
                source = f"{path}: {file}"
                possible = ids.get(name, [name])
                if len(possible) > 1:
                    reading.problems.fatal(
                        "ambiguous_name",
                        f"{source}: may be {' or '.join(map(repr, possible))}, which have the same name "
                        f"for YOLO's tools. Put {FILE} of the export beside {LABEL_FOLDER}, or use another "
                        "format.",
                    )
                    continue
                if (id := reading.image(possible[0], source)) is None:
                    continue
                canvas = _painted(read_text(tree, file), reading.images[id].size, names, source, reading)
                if canvas is not None:
                    yield Correction(id, canvas.labels, source, exported.get(id))

    def round_trip(self, labels: np.ndarray, *, ignored: Ignored) -> np.ndarray:
        """The labels with holes filled and without 255, whatever `ignored` is."""
        return _painted_parts(_parts(labels)[0], labels.shape)


def _flat(name: str) -> str:
    """An id or file name without the folders that confuse Ultralytics."""
    *folders, last = name.split("/")
    return "/".join([*(folder for folder in folders if folder != IMAGE_FOLDER), last])


def _ids_by_name(known: Iterable[str]) -> dict[str, list[str]]:
    """Ids by the file name that `write` gives them."""
    ids: dict[str, list[str]] = defaultdict(list)
    for id in sorted(known):
        ids[_flat(id)].append(id)
    return dict(ids)


_Part = tuple[int, Outline]
"""Mask value and outline of a connected part."""


def _parts(labels: np.ndarray) -> tuple[list[_Part], int]:
    """The parts of a mask, the largest first, and the number of holes in them."""
    values = [value for value in np.unique(labels).tolist() if value not in (0, IGNORED)]
    found = [(value, outline) for value in values for outline in outlines(labels == value)]
    parts = [(value, outline) for value, outline in found if not outline.is_hole]
    return sorted(parts, key=lambda part: -part[1].area), len(found) - len(parts)


def _lines(parts: Iterable[_Part], size: tuple[int, int]) -> str:
    lines = []
    for value, outline in parts:
        points = (outline.points / size[::-1]).ravel().tolist()
        lines.append(f"{value - 1} {' '.join(f'{coordinate:.9g}' for coordinate in points)}\n")
    return "".join(lines)


def _painted_parts(parts: Iterable[_Part], size: tuple[int, ...]) -> np.ndarray:
    """(H, W) uint8 mask that `read` makes of the lines of these parts."""
    labels = np.zeros(size, dtype=np.uint8)
    for value, outline in parts:
        (left, top), (right, bottom) = outline.points.min(0), outline.points.max(0)
        region = fill([(outline.points - (left, top)).ravel()], (bottom - top, right - left))
        labels[top:bottom, left:right][region] = value
    return labels


def _warnings(holes: Sequence[int], undecided: Sequence[int]) -> list[str]:
    """What the format lost, from the holes and the pixels with 255 of each image."""
    warnings = []
    if any(holes):
        warnings.append(
            f"{sum(holes)} holes in {np.count_nonzero(holes)} images are filled: YOLO's polygons have none. "
            "Use coco, voc, cvat or label-studio if holes matter."
        )
    if any(undecided):
        warnings.append(
            f"{sum(undecided):,} pixels with 255 (ignored) in {np.count_nonzero(undecided)} images become "
            "background: YOLO has no such label."
        )
    return warnings


def _names(tree: Tree, name: str) -> dict[int, str]:
    """Class names by number; empty without data.yaml."""
    if name not in tree.names:
        return {}
    try:
        content = yaml.safe_load(read_text(tree, name))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{tree.path}: {name} is not YAML ({error}).") from None
    names = content.get("names") if isinstance(content, dict) else None
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(numbered, dict) or not all(
        isinstance(number, int) and isinstance(text, str) for number, text in numbered.items()
    ):
        raise DataError(f"{tree.path}: {name}: expected names, a list or numbers and names.")
    return numbered


def _painted(
    text: str, size: tuple[int, int], names: Mapping[int, str], source: str, reading: Reading
) -> Canvas | None:
    """Paint a file's polygons; None if a line cannot be used, which is noted."""
    canvas = Canvas(size)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        at = f"{source}:{number}"
        try:
            index, region = _parsed(line, size)
            if index not in names:
                raise ValueError(f"class number {index} has no name")
        except ValueError as error:
            reading.problems.fatal("polygon", f"{at}: {error}.")
            return None
        value = reading.value(names[index], at)
        if value is None:
            return None
        canvas.paint(region, value)
    return canvas


def _parsed(line: str, size: tuple[int, int]) -> tuple[int, np.ndarray]:
    """Class number and (H, W) bool region of a line.

    Raises:
        ValueError: it is not a polygon in an image of this size.
    """
    words = line.split()
    if len(words) == _VALUES_OF_A_BOX:
        raise ValueError("is a box; expected a polygon: class number, then x and y of three points or more")
    try:
        index, values = int(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError:
        raise ValueError("expected a class number and fractions of the image's size") from None
    if len(values) % 2:
        raise ValueError(f"expected x and y of each point, got {len(values)} numbers")
    scale = np.array(size[::-1], dtype=np.float64)
    return index, fill([(values.reshape(-1, 2) * scale).ravel().tolist()], size)
