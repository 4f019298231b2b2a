"""Which files of a folder are its tables of labels."""

from __future__ import annotations

import re
from pathlib import Path

from swtformer.datasets.labels import CLASS_FILES
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.rows import read_start
from swtformer.datasets.tables.column_names import IMAGE_COLUMNS, find_columns
from swtformer.datasets.tables.delimited import is_label_list, read_csv
from swtformer.datasets.tables.row_files import SUFFIXES, is_table
from swtformer.errors import DataError

TABLE_NAMES = ("labels.csv", "labels.tsv", "labels.jsonl", "metadata.csv", "metadata.jsonl")
"""Tables that are taken whatever lies beside them."""

SPLIT_TABLES = ("metadata.jsonl", "metadata.csv", "_classes.csv", "metadata.parquet")
"""Tables of Hugging Face and Roboflow in folders of any name, each of which is a split."""

TABLE_FOLDERS = ("annotations", "annotation", "labels", "metadata", "csv", "data", "lists", "splits")
"""Folders that a table is looked for in where none lies beside them."""

MOST_LISTS = 20
"""Files of text in one folder, of which more are not lists of images but something of each image."""

_SPLIT = re.compile(r"(train|training|val|valid|validation|test|testing|dev|eval)", re.IGNORECASE)
_OTHER = re.compile(
    r"submission|class_?(mapping|names|dict|list)|^classes$|label_?map|readme|requirements", re.IGNORECASE
)
"""Names of tables that hold no labels of images."""


def holds_table(path: Path) -> bool:
    """Whether a file is a table, or a folder holds tables, by names; .txt files are looked into."""
    if path.is_file():
        return is_table(path) or path.suffix.lower() in SUFFIXES
    return bool(_named(path) or _per_split(path) or _candidates(path) or _below(path))


def find_tables(folder: Path) -> dict[str, Path]:
    """Tables of a folder by split: one for "" (no split), or one for each split.

    Raises:
        DataError: several tables may be meant; the message names them.
    """
    named = _named(folder)
    if named is not None and _lists_images(named):
        return {"": named}
    return _per_split(folder) or _choose(folder, _candidates(folder)) or _choose(folder, _below(folder))


def _named(folder: Path) -> Path | None:
    return next((folder / name for name in TABLE_NAMES if (folder / name).is_file()), None)


def _per_split(folder: Path) -> dict[str, Path]:
    """Tables in folders of splits: with a usual name, or the only one of a folder called like a split."""
    found: dict[str, Path] = {}
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        named = [child / name for name in SPLIT_TABLES if (child / name).is_file()]
        if not named and _SPLIT.fullmatch(child.name):
            alone = [file for file in _candidates(child) if _lists_images(file)]
            named = alone if len(alone) == 1 else []
        if named:
            found[child.name] = named[0]
    return found


def _choose(folder: Path, candidates: list[Path]) -> dict[str, Path]:
    """The tables to read out of several, by split."""
    if len(candidates) > 1:
        candidates = [file for file in candidates if _lists_images(file)] or candidates
    by_split = {match[1].lower(): file for file in candidates if (match := _split_of(file))}
    if len(candidates) > 1 and len(by_split) < len(candidates):
        shown = ", ".join(str(file.relative_to(folder)) for file in candidates[:10])
        raise DataError(
            f"{folder}: holds several tables: {shown}. Name the one with the labels in place of the folder."
        )
    if len(candidates) > 1:
        return by_split
    return {"": candidates[0]} if candidates else {}


def _candidates(folder: Path) -> list[Path]:
    """Files that are tables and not called like something else; of many lists none is a table."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in {*SUFFIXES, ".txt"})
    if sum(file.suffix.lower() == ".txt" for file in files) > MOST_LISTS:
        files = [file for file in files if file.suffix.lower() != ".txt"]
    return [
        file
        for file in files
        if file.name not in CLASS_FILES and not _OTHER.search(file.stem) and is_table(file)
    ]


def _below(folder: Path) -> list[Path]:
    """Tables in the folders that people keep them in."""
    folders = [folder / name for name in TABLE_FOLDERS if (folder / name).is_dir()]
    return [file for child in folders for file in _candidates(child) if _lists_images(file)]


def _split_of(file: Path) -> re.Match[str] | None:
    """The split that a table is of by its name: train.csv, labels_val.csv, test_set.csv."""
    parts = re.split(r"[\W_]+", file.stem)
    found = [match for part in parts if (match := _SPLIT.fullmatch(part))]
    return found[0] if len(found) == 1 else None


def _lists_images(file: Path) -> bool:
    """Whether the first lines of a table have a column of image names."""
    if file.suffix.lower() in {".csv", ".tsv"}:
        rows = read_csv(file, read_start(file))
    elif file.suffix.lower() == ".txt":
        return is_label_list(read_start(file))
    else:
        return True
    cells = [str(cell) for row in rows.rows[:5] for cell in row.cells.values()]
    return bool(find_columns(rows.columns, IMAGE_COLUMNS)) or any(map(is_image_name, cells))
