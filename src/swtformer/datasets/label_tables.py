"""Tables of images and labels: CSV, TSV, JSON Lines, and Hugging Face's metadata files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swtformer.datasets.assemble import Entry, Origin, assemble
from swtformer.datasets.labels import LabelRow, LabelTable, classes_of, declared_classes, read_label_table
from swtformer.datasets.paths import ImageFolder, images_folder, locate
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split
from swtformer.errors import DataError
from swtformer.safe_names import safe_name
from swtformer.settings import DataSettings

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
TABLE_NAMES = ("labels.csv", "labels.tsv", "labels.jsonl", "metadata.csv", "metadata.jsonl")
IMAGE_FOLDERS = ("", "images", "JPEGImages", "img", "imgs")
MASK_FOLDERS = ("", "masks", "SegmentationClass")


def holds_table(path: Path) -> bool:
    """A CSV, TSV or JSONL file; or a folder with one of a usual name, or with exactly one of any name."""
    return path.suffix.lower() in SUFFIXES if path.is_file() else bool(_find_tables(path))


def read_table(path: Path, settings: DataSettings, split: str | None) -> ImageSet:
    """Read a table, or the tables of a folder.

    Image names are relative to `settings.images`, else to whichever folder beside the table holds most of
    them. Splits are the values of a split column, or the folders of ``<split>/metadata.csv``: "train" is
    read by default, or everything if it does not exist; "all" reads everything. The class list is that of
    the whole table, so it is the same for every split.

    Raises:
        DataError: every fatal problem, with file and line.
    """
    problems = Problems()
    tables = {"": path} if path.is_file() else _find_tables(path)
    if not tables:
        raise DataError(
            f"{path}: holds no label table; expected {', '.join(TABLE_NAMES)} or one other CSV file."
        )
    folder = path.parent if path.is_file() else path
    declared = declared_classes(folder, settings, problems)
    table = _join(
        {
            name: read_label_table(file, declared=declared, problems=problems, group=settings.group)
            for name, file in tables.items()
        }
    )
    rows, chosen = _rows_of_split(path, table, split)
    candidates = [folder / name for name in IMAGE_FOLDERS]
    images = images_folder(settings.images, candidates, (row.name for row in rows))
    mask_folders = _mask_folders(folder, settings)
    entries = [_entry(row, images, mask_folders, problems) for row in rows]
    return assemble(
        [entry for entry in entries if entry is not None],
        origin=Origin("table", path, folder, chosen, images.root),
        classes=classes_of(table, declared),
        settings=settings,
        labels_from=", ".join(str(file.relative_to(folder)) for file in tables.values()),
        problems=problems,
    )


def _find_tables(folder: Path) -> dict[str, Path]:
    """Tables of a folder by split: one for "" (no split), or Hugging Face's one for each split's folder."""
    for name in TABLE_NAMES:
        if (folder / name).is_file():
            return {"": folder / name}
    per_split = {
        child.name: child / name
        for child in sorted(folder.iterdir())
        for name in ("metadata.jsonl", "metadata.csv")
        if (child / name).is_file()
    }
    if per_split:
        return per_split
    others = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
    return {"": others[0]} if len(others) == 1 else {}


def _join(parts: Mapping[str, LabelTable]) -> LabelTable:
    """One table of all parts; rows from a split's folder get its name as split and before their path."""
    if "" in parts:
        return parts[""]
    rows = [
        replace(row, name=f"{split}/{row.name}", split=split)
        for split, part in parts.items()
        for row in part.rows
    ]
    first = next(iter(parts.values()))
    names = (
        first.names if first.declares_order else sorted({n for part in parts.values() for n in part.names})
    )
    return LabelTable(tuple(rows), tuple(names), has_splits=True, declares_order=first.declares_order)


def _rows_of_split(path: Path, table: LabelTable, asked: str | None) -> tuple[Sequence[LabelRow], str | None]:
    """Rows to read and the name of their split."""
    known = {row.split for row in table.rows if row.split} if table.has_splits else set()
    if asked == ALL and asked not in known:
        return table.rows, None
    chosen = choose_split(path, asked, known, default=("train", "training"))
    if chosen is None:
        return table.rows, None
    return [row for row in table.rows if row.split == chosen], chosen


def _mask_folders(folder: Path, settings: DataSettings) -> list[ImageFolder]:
    """Folders that the mask column may be relative to, in the order in which they are searched."""
    named = [settings.masks] if settings.masks is not None else []
    return [ImageFolder(candidate) for candidate in (*named, *(folder / name for name in MASK_FOLDERS))]


def _entry(
    row: LabelRow, images: ImageFolder, mask_folders: Sequence[ImageFolder], problems: Problems
) -> Entry | None:
    located = locate(images, row.name, row.source, problems)
    if located is None:
        return None
    mask = _mask(row, mask_folders, problems) if row.mask is not None else None
    return Entry(*located, row.labels, row.source, mask, row.group)


def _mask(row: LabelRow, folders: Sequence[ImageFolder], problems: Problems) -> Path | None:
    try:
        name = safe_name(row.mask or "")
    except ValueError as error:
        problems.fatal("unsafe_name", f"{row.source}: mask: {error}.")
        return None
    for folder in folders:
        if found := folder.matches(name):
            return folder.root / found[0]
    problems.warn("missing_mask", f"{row.source}: mask {name!r} is missing; the image is not scored.")
    return None
