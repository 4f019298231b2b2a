"""Recognises files that hold labels which no reader reads, so that the folder is not misread without them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from swtformer.datasets.files import read_start
from swtformer.datasets.labels import CLASS_FILES
from swtformer.datasets.paths import is_image_name, record_id

_TABLES = {
    ".csv": "a table",
    ".tsv": "a table",
    ".jsonl": "a table (JSON Lines)",
    ".ndjson": "a table (JSON Lines)",
    ".xlsx": "a spreadsheet (Excel)",
    ".xlsm": "a spreadsheet (Excel)",
    ".xls": "a spreadsheet (Excel)",
    ".ods": "a spreadsheet (OpenDocument)",
    ".parquet": "a table (Parquet)",
    ".feather": "a table (Arrow)",
    ".arrow": "a table (Arrow)",
    ".sqlite": "a database (SQLite)",
    ".db": "a database",
    ".mat": "data of MATLAB",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".tfrecord": "a file of TensorFlow records",
    ".npy": "a NumPy array",
    ".npz": "NumPy arrays",
    ".pkl": "a pickle, which is never loaded",
    ".pickle": "a pickle, which is never loaded",
    ".geojson": "shapes on a map (GeoJSON)",
    ".shp": "shapes on a map",
    ".gpkg": "shapes on a map",
}
"""Files that hold data whatever their name is."""

_MARKS: tuple[tuple[str, str, str], ...] = (
    (".json", r'"_via_', "annotations of VGG Image Annotator"),
    (".json", r'"classTitle"|"tags"\s*:.*"objects"\s*:', "annotations of Supervisely"),
    (".json", r'"imagePath"|"shapes"\s*:', "annotations of labelme"),
    (".json", r'"file_upload"|"was_cancelled"|"choice"\s*:|"annotator"\s*:', "an export of Label Studio"),
    (".json", r'"(annotations|categories)"\s*:', "annotations of COCO"),
    (".json", r'"classes"\s*:.*"labels"\s*:', "labels of FiftyOne"),
    (".json", r'"labels?"\s*:', "labels"),
    (".xml", r"<annotations\b", "annotations of CVAT"),
    (".xml", r"<annotation\b", "boxes of Pascal VOC or LabelImg"),
    (".yaml", r"^(names|nc|train)\s*:", "the description of a YOLO data set"),
    (".txt", r"\A\s*\d+( +-?\d*\.?\d+(e-?\d+)?){4,}\s*$", "labels of YOLO"),
)
"""Extension, regular expression, and what a file is whose start holds the expression."""

_TEXTS = frozenset({".json", ".xml", ".yaml", ".txt"})
_SAME = {".yml": ".yaml", ".lst": ".txt", ".list": ".txt", ".names": ".txt"}
_PROSE = re.compile(
    r"(read.?me|licen[cs]e|notes?|change.?log|citation|copying|about|credits|requirements)\b", re.I
)
_START_BYTES = 1 << 18
_TOKEN = re.compile(r"""[^\s"'`,;:|<>=(){}\[\]]+""")
_LOOKED_INTO = 50


def foreign_file(root: Path, files: Sequence[str], *, folders: Collection[str]) -> tuple[str, str] | None:
    """The first file that looks as if it held the labels of a folder of images.

    Tables and annotations always do. Other text does if it names an image or is named like one, and other
    JSON, XML and YAML also where there are no class folders that it could be an addition to.

    Args:
        root: the folder.
        files: all files below it, with images.
        folders: names of the class folders.

    Returns:
        The file and what it looks like; None if there is none.
    """
    bases = {file: file.rpartition("/")[2] for file in files}
    candidates = [file for file, base in bases.items() if not is_image_name(base) and not _is_harmless(base)]
    for file in candidates:
        if (what := _TABLES.get(_suffix(file))) is not None:
            return file, what
    texts = [file for file in candidates if _kind(file) in _TEXTS]
    if not texts:
        return None
    names = set(filter(is_image_name, bases.values()))
    known = (names | {record_id(name) for name in names}) - set(folders)
    for file in texts[:_LOOKED_INTO]:
        if (what := _what(root / file, known, alone=len(folders) < 2)) is not None:
            return file, what
    return None


def _is_harmless(name: str) -> bool:
    return name in CLASS_FILES or _PROSE.match(name) is not None


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _kind(name: str) -> str:
    return _SAME.get(_suffix(name), _suffix(name))


def _what(file: Path, images: set[str], *, alone: bool) -> str | None:
    """What a text file looks like; None if it seems to hold no labels."""
    kind = _kind(file.name)
    start = read_start(file, _START_BYTES).replace(b"\0", b"").decode("utf-8", "replace").lstrip("\ufeff")
    for suffix, expression, what in _MARKS:
        if kind == suffix and re.search(expression, start, re.MULTILINE | re.DOTALL):
            return what
    called = "a text file" if kind == ".txt" else kind[1:].upper()
    if record_id(file.stem) in images:
        return f"{called} for one of the images"
    named = images & {token.replace("\\", "/").rpartition("/")[2] for token in _TOKEN.findall(start)}
    # Numbers are in every file; only names tell that it is about the images.
    telling = [name for name in named if not name.isdecimal()]
    if telling or 2 * len({record_id(name) for name in named}) > len({record_id(name) for name in images}):
        return f"{called} that names the images, such as {min(telling or named)!r}"
    return called if alone and kind != ".txt" else None
