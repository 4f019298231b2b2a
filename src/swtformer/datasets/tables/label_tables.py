"""Tables of images and labels as image sets: which files are tables, and where images and masks lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from swtformer.datasets.assemble import Entry, Origin, assemble
from swtformer.datasets.labels import ClassList, LabelRow, LabelTable, class_list, classes_of
from swtformer.datasets.masks_beside import column_mask
from swtformer.datasets.paths import ImageFolder, locate
from swtformer.datasets.problems import Problems
from swtformer.datasets.records import ImageSet
from swtformer.datasets.splits import ALL, choose_split, split_meaning
from swtformer.datasets.tables.image_search import ImageSearch
from swtformer.datasets.tables.table_files import find_tables
from swtformer.datasets.tables.table_labels import read_label_table
from swtformer.datasets.tables.table_settings import TableSettings
from swtformer.errors import DataError
from swtformer.settings import DataSettings

MASK_FOLDERS = ("", "masks", "SegmentationClass")


def read_table(
    path: Path, settings: DataSettings, split: str | None, options: TableSettings | None = None
) -> ImageSet:
    """Read a table, or the tables of a folder.

    Image names are relative to `settings.images`, else to whichever folder beside the table holds most of
    them. Splits are the values of a split column, the folders of ``<split>/metadata.csv``, or tables called
    train.csv, val.csv …: "train" is read by default, or everything if it does not exist; "all" reads
    everything. The class list is that of the whole table, so it is the same for every split.

    Raises:
        DataError: every fatal problem, with file and line.
    """
    problems = Problems()
    options = options or TableSettings()
    tables = {"": path} if path.is_file() else find_tables(path)
    if not tables:
        raise DataError(
            f"{path}: holds no label table; expected labels.csv, metadata.jsonl or one other table."
        )
    folder = path.parent if path.is_file() else path
    declared = class_list(folder, settings, problems)
    search = ImageSearch(folder, settings.images, settings.masks)
    table = _read_all(folder, tables, declared, search, options, settings.group, problems)
    try:
        rows, chosen = _rows_of_split(path, table, split)
    except DataError:
        problems.raise_fatal(path.name)  # rows that could not be read may be why there is no such split
        raise
    images = _images(path, search, [row.name for row in rows], chosen, problems)
    mask_folders = _mask_folders(folder, settings)
    entries = [_entry(row, images, mask_folders, problems) for row in rows]
    return assemble(
        [entry for entry in entries if entry is not None],
        origin=Origin("table", path, folder, chosen, images.root),
        classes=classes_of(table, declared.names if declared else None),
        settings=settings,
        labels_from=", ".join(str(file.relative_to(folder)) for file in tables.values()),
        problems=problems,
    )


def _read_all(
    folder: Path,
    tables: Mapping[str, Path],
    declared: ClassList | None,
    search: ImageSearch,
    options: TableSettings,
    group: str | None,
    problems: Problems,
) -> LabelTable:
    """All tables as one; the rows of a split's table get its name, and its folder before their names."""
    parts: dict[str, LabelTable] = {}
    for name, file in tables.items():
        is_inside = bool(name) and file.parent.name == name
        inside = ImageSearch(file.parent, None) if is_inside else search
        parts[name] = read_label_table(
            file, declared=declared, problems=problems, options=options, hits=inside.hits, group=group
        )
        if is_inside:
            rows = [_inside(row, file.parent, folder) for row in parts[name].rows]
            parts[name] = replace(parts[name], rows=tuple(rows))
    if "" in parts:
        return parts[""]
    rows = [replace(row, split=split) for split, part in parts.items() for row in part.rows]
    labelled = [part for part in parts.values() if part.names] or list(parts.values())
    first = labelled[0]
    names = list(dict.fromkeys(name for part in labelled for name in part.names))
    return LabelTable(
        tuple(rows),
        tuple(names if first.declares_order else sorted(names)),
        has_splits=True,
        declares_order=first.declares_order,
    )


def _inside(row: LabelRow, own: Path, folder: Path) -> LabelRow:
    """A row whose image and mask lie in the folder of its table, or are named from the data set's folder."""
    prefix = own.relative_to(folder).as_posix()
    name = row.name.replace("\\", "/")
    if name.startswith((f"{prefix}/", "/")):
        return row
    return replace(row, name=f"{prefix}/{name}")


def _rows_of_split(path: Path, table: LabelTable, asked: str | None) -> tuple[Sequence[LabelRow], str | None]:
    """Rows to read and the name of their split."""
    known = {row.split for row in table.rows if row.split} if table.has_splits else set()
    if asked == ALL and asked not in known:
        return table.rows, None
    spelled = {name: re.sub(r"\W|_", "", name).lower() for name in known}
    train = [name for name, plain in spelled.items() if plain in {"train", "training", "tr"}]
    chosen = choose_split(path, asked, known, default=("train", "training", *train))
    if chosen is None:
        return table.rows, None
    return [row for row in table.rows if row.split == chosen], chosen


def _images(
    path: Path, search: ImageSearch, names: Sequence[str], split: str | None, problems: Problems
) -> ImageFolder:
    """The folder of the images: of folders of splits that hold images of one name, that of the split read."""
    found = search.folder_of(names)
    alike = search.split_folders(names)
    own = [folder for folder in alike if split and split_meaning(folder.root.name) == split_meaning(split)]
    if len(own) == 1:
        return own[0]
    if found.root in {folder.root for folder in alike}:
        shown = " and ".join(str(folder.root) for folder in alike[:3])
        problems.fatal(
            "ambiguous_name",
            f"{path}: its images may be those in {shown}, which have the same names. Write the folder before "
            "the names, name one with `data.images`, or read one split (`data.split`) if there are any.",
        )
        return found
    name, others = search.elsewhere(names, found)
    if others:
        problems.warn(
            "ambiguous_name",
            f"{path}: {name} lies in {found.root} and in {' and '.join(map(str, others[:3]))}; the images of "
            f"{found.root} are used. Write the folder before the names, or name one with `data.images`.",
        )
    return found


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
    mask = None if row.mask is None else column_mask(row.mask, row.source, mask_folders, problems)
    return Entry(*located, row.labels, row.source, mask, row.group)
