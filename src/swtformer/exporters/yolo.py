"""YOLO segmentation: one text file per image with a polygon per line, in fractions of the image's size.

The polygons run along the edges of the pixels. A hole is joined to the outline by a cut of no width. Larger
polygons come first, so that an object in a hole survives readers that fill holes and paint in order.

Ultralytics finds the labels of an image by replacing the last folder `images` in its path with `labels`
(img2label_paths in its data/utils.py), so no id may contain a folder of this name: images/x becomes x.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
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
    roots_of,
)
from swtformer.exporters.base import ExchangeFormat, LabelledImage, copy_image, require_free_names
from swtformer.exporters.fingerprints import FILE, fingerprint, fingerprints_text, read_fingerprints
from swtformer.exporters.outlines import fill, polygons
from swtformer.exporters.reading import Canvas, Correction, Ignored, NoMaskError, Reading
from swtformer.label_values import IGNORED, values_in
from swtformer.settings import EXPORTERS, ExportSettings, parse_yaml
from swtformer.store.files import new_folder, write_text

IMAGE_FOLDER = "images"
LABEL_FOLDER = "labels"
DATA_FILE = "data.yaml"
NAME_FILE = "classes.txt"

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
                write_text(folder / LABEL_FOLDER / f"{name}.txt", _lines(item.labels))
                copy_image(replace(item, file_name=_flat(item.file_name)), folder / IMAGE_FOLDER, settings)
                photographs += settings.images == "copy" and item.image is not None
                undecided.append(int(np.count_nonzero(item.labels == IGNORED)))
                fingerprints[item.id] = fingerprint(self.round_trip(item.labels, ignored="drop"))
            names = yaml.safe_dump(dict(enumerate(classes)), allow_unicode=True, sort_keys=True)
            indented = "".join(f"  {line}\n" for line in names.splitlines())
            write_text(
                folder / DATA_FILE,
                f"train: {IMAGE_FOLDER}\n# The same images: split them for a real validation.\n"
                f"val: {IMAGE_FOLDER}\nnames:\n{indented}",
            )
            write_text(folder / FILE, fingerprints_text(fingerprints))
        warnings = _warnings(undecided) if settings.ignored == "keep" else []
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

        Without a list of names, class numbers are those of the run.
        """
        with open_tree(path) as tree:
            for root in roots_of(tree, LABEL_FOLDER):
                yield from _read(tree, root, reading)

    def round_trip(self, labels: np.ndarray, *, ignored: Ignored) -> np.ndarray:
        """The labels without 255, whatever `ignored` is."""
        return super().round_trip(labels, ignored="drop")


def _read(tree: Tree, root: str, reading: Reading) -> Iterator[Correction]:
    """Masks of one folder of labels."""
    names, has_keypoints = _names(tree, root)
    if not names:
        names = dict(enumerate(reading.classes))
        reading.warn_of_order(f"{tree.path}: {root}{LABEL_FOLDER}", first=0)
    exported = read_fingerprints(tree, root)
    reading.expect(exported)
    ids = _ids_by_name(reading.images) | _ids_by_name(exported)
    for name, file in relative_files(tree, f"{root}{LABEL_FOLDER}/", ".txt").items():
        if name not in ids and name == Path(NAME_FILE).stem:
            continue
        source = f"{tree.path}: {file}"
        possible = ids.get(name, [name])
        if len(possible) > 1:
            reading.problems.fatal(
                "ambiguous_name",
                f"{source}: may be {' or '.join(map(repr, possible))}, which have the same name for YOLO's "
                f"tools. Put {FILE} of the export beside {LABEL_FOLDER}, or use another format.",
            )
            continue
        if (id := reading.image(possible[0], source)) is None:
            continue
        canvas = Canvas(id, reading)
        for number, line in enumerate(read_text(tree, file).splitlines(), start=1):
            if line.strip():
                with canvas.region(at := f"{source}:{number}"):
                    if has_keypoints:
                        raise NoMaskError("a set of keypoints")
                    index, region = _parsed(line, canvas.size, names)
                    canvas.paint(region, reading.value(names[index], at))
        yield from canvas.corrections(source, exported.get(id))


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


def _lines(labels: np.ndarray) -> str:
    """A line for each part of a mask, the largest first."""
    values = [value for value in values_in(labels) if value not in (0, IGNORED)]
    rows, columns = map(_fractions, labels.shape)
    parts = [(value, points) for value in values for points in polygons(labels == value)]
    lines = []
    for value, points in sorted(parts, key=lambda part: -np.prod(np.ptp(part[1], axis=0))):
        fractions = " ".join(f"{columns[x]} {rows[y]}" for x, y in points.tolist())
        lines.append(f"{value - 1} {fractions}\n")
    return "".join(lines)


@lru_cache(maxsize=64)
def _fractions(side_px: int) -> list[str]:
    """The text of each place along a side of an image."""
    return [f"{place / side_px:.9g}" for place in range(side_px + 1)]


def _warnings(undecided: Sequence[int]) -> list[str]:
    """What the format lost, from the number of pixels with 255 in each image."""
    if not any(undecided):
        return []
    return [
        f"{sum(undecided):,} pixels with 255 (ignored) in {np.count_nonzero(undecided)} images become "
        "background: YOLO has no such label."
    ]


def _names(tree: Tree, root: str) -> tuple[dict[int, str], bool]:
    """Class names by number, empty where none are listed; and whether the lines hold keypoints.

    They are listed in data.yaml, or in classes.txt as Label Studio writes it, beside the labels or above.
    """
    above = [root[: place + 1] for place, sign in enumerate(root) if sign == "/"]
    folders = [f"{root}{LABEL_FOLDER}/", *reversed(above), ""]
    files = (f"{folder}{name}" for name in (DATA_FILE, NAME_FILE) for folder in folders)
    file = next((file for file in files if file in tree.names), None)
    if file is None:
        return {}, False
    if file.endswith(NAME_FILE):
        lines = (line.strip() for line in read_text(tree, file).splitlines())
        return dict(enumerate(filter(None, lines))), False
    try:
        content = parse_yaml(read_text(tree, file))
    except ValueError as error:
        raise DataError(f"{tree.path}: {file} {error}.") from None
    names = content.get("names") if isinstance(content, dict) else None
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(numbered, dict) or not all(
        isinstance(number, int) and isinstance(text, str) for number, text in numbered.items()
    ):
        raise DataError(f"{tree.path}: {file}: expected names, a list or numbers and names.")
    return numbered, "kpt_shape" in content


def _parsed(line: str, size: tuple[int, int], names: Mapping[int, str]) -> tuple[int, np.ndarray]:
    """Class number and (H, W) bool region of a line.

    Raises:
        NoMaskError: it is a box, or has fewer than three points.
        ValueError: it is not a polygon in an image of this size, or its class has no name.
    """
    words = line.split()
    try:
        index, values = int(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError:
        raise ValueError("expected a class number and fractions of the image's size") from None
    if index not in names:
        raise ValueError(f"class number {index} has no name")
    if len(words) == _VALUES_OF_A_BOX:
        raise NoMaskError("a box")
    return index, fill([(values * np.resize(size[::-1], len(values))).tolist()], size)
