"""Which files of a folder are its tables of labels."""

from __future__ import annotations

import re
from pathlib import Path

from swtformer.datasets.column_names import IMAGE_COLUMNS, find_columns
from swtformer.datasets.delimited import is_label_list, read_csv
from swtformer.datasets.labels import CLASS_FILES
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.row_files import SUFFIXES, is_table
from swtformer.datasets.rows import read_start
from swtformer.errors import DataError

TABLE_NAMES = ("labels.csv", "labels.tsv", "labels.jsonl", "metadata.csv", "metadata.jsonl")
"""Tables that are taken whatever lies beside them."""

SPLIT_TABLES = ("metadata.jsonl", "metadata.csv", "_classes.csv", "labels.csv", "metadata.parquet")
"""Tables in the folders of splits: Hugging Face's, Roboflow's and others."""

_SPLIT = re.compile(r"(train|training|val|valid|validation|test|testing|dev|eval)", re.IGNORECASE)
_OTHER = re.compile(
    r"submission|class_?(mapping|names|dict|list)|^classes$|label_?map|readme|requirements", re.IGNORECASE
)
"""Names of tables that hold no labels of images."""


def holds_table(path: Path) -> bool:
    """Whether a file is a table, or a folder holds tables, by names; .txt files are looked into."""
    if path.is_file():
        return is_table(path) or path.suffix.lower() in SUFFIXES
    return bool(_named(path) or _per_split(path) or _candidates(path))


def find_tables(folder: Path) -> dict[str, Path]:
    """Tables of a folder by split: one for "" (no split), or one for each split.

    Raises:
        DataError: several tables may be meant; the message names them.
    """
    found = _named(folder) or _per_split(folder)
    if found:
        return found
    candidates = _candidates(folder)
    if len(candidates) > 1:
        listing = [file for file in candidates if _lists_images(file)]
        candidates = listing or candidates
    by_split = {match[1].lower(): file for file in candidates if (match := _split_of(file))}
    if len(candidates) > 1 and len(by_split) == len(candidates):
        return by_split
    labelled = [file for file in candidates if _split_of(file) is None] if by_split else candidates
    if len(candidates) == 1:
        return {"": candidates[0]}
    if not candidates:
        return {}
    shown = ", ".join(file.name for file in (labelled or candidates)[:10])
    raise DataError(
        f"{folder}: holds several tables: {shown}. Name the one with the labels in place of the folder."
    )


def _named(folder: Path) -> dict[str, Path]:
    return next(({"": folder / name} for name in TABLE_NAMES if (folder / name).is_file()), {})


def _per_split(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        for name in SPLIT_TABLES:
            is_own = name.startswith(("metadata", "_classes")) or _SPLIT.fullmatch(child.name)
            if is_own and (child / name).is_file():
                found.setdefault(child.name, child / name)
    return found


def _candidates(folder: Path) -> list[Path]:
    files = sorted(
        file for file in folder.iterdir() if file.name not in CLASS_FILES and not _OTHER.search(file.stem)
    )
    return [file for file in files if is_table(file)]


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
