"""YOLO segmentation: one text file per image with a polygon per line, in fractions of the image's size.

The polygons run along the edges of the pixels. Holes cannot be said and are lost; larger polygons stand
first, so that what lies in a hole survives a reader that paints in order, as Ultralytics and ours do.

Ultralytics finds an image's labels by replacing the last folder `images` in its path by `labels`
(img2label_paths in its data/utils.py), so no folder of this name may stand in an id: images/x is called x.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from swtformer.exporters.outlines import Outline, fill, outlines
from swtformer.exporters.provenance import NOTES_FILE, Ignored, Provenance, notes_text, read_notes
from swtformer.exporters.reading import Canvas, Correction, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import write_text

IMAGE_FOLDER = "images"
LABEL_FOLDER = "labels"
DATA_FILE = "data.yaml"

_VALUES_OF_A_BOX = 5


@dataclass(frozen=True)
class _Lost:
    """What one image's mask has that polygons cannot say."""

    holes: int
    ignored_pixels: int


@EXPORTERS.register("yolo")
class YoloExporter(ExchangeFormat):
    """A folder with data.yaml, labels/<id>.txt and, where asked for, images.

    Folders called images are left out of the ids; `read` finds the right ids again.
    """

    suffix = ""
    is_lossless = False

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write a line per connected part, parts that touch at a corner apart; class numbers count from 0.

        Raises:
            SwtformerError: see `Exporter.write`; also where two ids differ in a folder called images alone.
        """
        require_free_names(classes)
        lost = []
        ids: dict[str, str] = {}
        noted: dict[str, Provenance] = {}
        photographs = 0
        with new_folder(out) as folder:
            for item in images:
                name = _flat(item.id)
                if name in ids:
                    raise SwtformerError(
                        f"The images {ids[name]!r} and {item.id!r} would share the label file "
                        f"{LABEL_FOLDER}/{name}.txt, because YOLO's tools allow no second folder "
                        f"{IMAGE_FOLDER}; rename one of them, or export in another format."
                    )
                ids[name] = item.id
                text, missing = _lines(item.labels)
                write_text(folder / LABEL_FOLDER / f"{name}.txt", text)
                copy_image(replace(item, file_name=_flat(item.file_name)), folder / IMAGE_FOLDER, settings)
                photographs += settings.images == "copy" and item.image is not None
                lost.append(missing)
                if item.provenance is not None:
                    noted[item.id] = item.provenance
            names = yaml.safe_dump(dict(enumerate(classes)), allow_unicode=True, sort_keys=True)
            indented = "".join(f"  {line}\n" for line in names.splitlines())
            write_text(
                folder / DATA_FILE,
                f"train: {IMAGE_FOLDER}\n# The same images: divide them for a real validation.\n"
                f"val: {IMAGE_FOLDER}\nnames:\n{indented}",
            )
            if noted:
                write_text(folder / NOTES_FILE, notes_text(noted))
        warnings = _warnings(lost, keeps_ignored=settings.ignored == "keep")
        if photographs < len(ids):
            warnings.append(
                f"{len(ids) - photographs} photographs are not in {out / IMAGE_FOLDER}, where {DATA_FILE} "
                "says that they are: put them there under the names of the label files, or export with "
                "--data and --export.images copy."
            )
        return warnings

    def recognises(self, path: Path) -> bool:
        """A folder or zip file with labels."""
        return has_folder(path, LABEL_FOLDER)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks from polygons, painted in the order of the lines; from a zip file as well.

        Without data.yaml, class numbers are those of the run.
        """
        with open_tree(path) as tree:
            root = root_of(tree.names, LABEL_FOLDER)
            if root is None:
                raise DataError(f"{path}: holds no folder {LABEL_FOLDER}.")
            names = _names(tree, root + DATA_FILE) or dict(enumerate(reading.classes))
            noted = read_notes(tree, root)
            reading.expect(noted)
            ids = _ids_by_name(reading.images) | _ids_by_name(noted)
            for name, file in relative_files(tree, f"{root}{LABEL_FOLDER}/", ".txt").items():
                source = f"{path}: {file}"
                written_as = ids.get(name, [name])
                if len(written_as) > 1:
                    reading.problems.fatal(
                        "ambiguous_name",
                        f"{source}: may be {' or '.join(map(repr, written_as))}, which YOLO's tools cannot "
                        f"tell apart. Put {NOTES_FILE} of the export beside {LABEL_FOLDER}, or export in "
                        "another format.",
                    )
                    continue
                if (id := reading.image(written_as[0], source)) is None:
                    continue
                canvas = _painted(read_text(tree, file), reading.images[id].size, names, source, reading)
                if canvas is not None:
                    yield Correction(id, canvas.labels, source, noted.get(id))

    def as_it_returns(self, labels: np.ndarray, *, ignored: Ignored) -> np.ndarray:
        """The labels with holes filled, and without 255, which the format never keeps."""
        text, _ = _lines(labels)
        height, width = labels.shape
        canvas = Canvas((height, width))
        for line in text.splitlines():
            index, region = _parsed(line, (height, width))
            canvas.paint(region, index + 1)
        return canvas.labels


def _flat(name: str) -> str:
    """An id or file name without the folders that Ultralytics would take for the images' own."""
    *folders, last = name.split("/")
    return "/".join([*(folder for folder in folders if folder != IMAGE_FOLDER), last])


def _ids_by_name(known: Iterable[str]) -> dict[str, list[str]]:
    """Ids by what `write` calls them."""
    ids: dict[str, list[str]] = defaultdict(list)
    for id in sorted(known):
        ids[_flat(id)].append(id)
    return dict(ids)


def _lines(labels: np.ndarray) -> tuple[str, _Lost]:
    found: list[tuple[int, Outline]] = []
    for value in np.unique(labels).tolist():
        if value not in (0, IGNORED):
            found.extend((value, outline) for outline in outlines(labels == value))
    parts = [(value, outline) for value, outline in found if not outline.is_hole]
    parts.sort(key=lambda part: -part[1].area)
    scale = np.array(labels.shape[::-1])
    lines = []
    for value, outline in parts:
        points = (outline.points / scale).ravel().tolist()
        lines.append(f"{value - 1} {' '.join(f'{coordinate:.9g}' for coordinate in points)}\n")
    lost = _Lost(len(found) - len(parts), int(np.count_nonzero(labels == IGNORED)))
    return "".join(lines), lost


def _warnings(lost: Sequence[_Lost], *, keeps_ignored: bool) -> list[str]:
    warnings = []
    holes = [item.holes for item in lost if item.holes]
    pixels = [item.ignored_pixels for item in lost if item.ignored_pixels]
    if holes:
        warnings.append(
            f"{sum(holes)} holes in {len(holes)} images are filled: YOLO's polygons have none. Use coco, "
            "voc, cvat or label-studio where holes matter."
        )
    if pixels and keeps_ignored:
        warnings.append(
            f"{sum(pixels):,} pixels with 255 (ignored) in {len(pixels)} images become background: YOLO has "
            "no such label."
        )
    return warnings


def _names(tree: Tree, name: str) -> dict[int, str]:
    """Class names by number; empty without data.yaml."""
    if name not in tree.names:
        return {}
    try:
        content = yaml.safe_load(read_text(tree, name))
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{tree.path}: {name} is no YAML ({error}).") from None
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
    """Paint a file's polygons; None where a line has been noted as unusable."""
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
        ValueError: it is no polygon in or near an image of this size.
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
