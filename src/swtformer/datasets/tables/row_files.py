"""Reads any table as rows: CSV, TSV, JSON Lines, lists of images, Excel and Parquet, by extension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swtformer.datasets.rows import Row, Rows, parse_json, read_start, read_text, split_lines
from swtformer.datasets.tables.delimited import FAULTS_NAMED, is_label_list, read_csv, read_list
from swtformer.datasets.tables.manifests import with_class_names
from swtformer.datasets.tables.spreadsheets import OLD, SPREADSHEETS, read_spreadsheet, refuse_old

JSON_LINES = frozenset({".jsonl", ".ndjson", ".manifest"})
SUFFIXES = frozenset({".csv", ".tsv", *JSON_LINES, *SPREADSHEETS, *OLD})
"""Extensions (lower case) of files that are tables whatever they hold; those in `OLD` are refused."""


def is_table(path: Path) -> bool:
    """Whether a file is a table by its extension, or a .txt file whose lines are images with labels."""
    suffix = path.suffix.lower()
    if suffix not in {*SUFFIXES, ".txt"} or path.name.startswith((".", "~$")) or not path.is_file():
        return False
    return suffix != ".txt" or is_label_list(read_start(path))


def read_rows(path: Path) -> Rows:
    """Read a table.

    Raises:
        DataError: the file as a whole cannot be read, or a package that it needs is not installed.
    """
    suffix = path.suffix.lower()
    refuse_old(path)
    if suffix in SPREADSHEETS:
        return read_spreadsheet(path)
    text = read_text(path)
    if suffix in JSON_LINES:
        return _read_json_lines(path, text)
    return read_list(path, text) if suffix == ".txt" and is_label_list(text) else read_csv(path, text)


def _read_json_lines(path: Path, text: str) -> Rows:
    rows: list[Row] = []
    faults: list[str] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            faults.append(f"{path}:{number}: is not JSON ({error}).")
            continue
        if not isinstance(value, dict):
            faults.append(
                f'{path}:{number}: expected a JSON object such as {{"image": …}}, got {value!r:.60}.'
            )
            continue
        cells: dict[str, Any] = {
            name.strip(): cell.strip() if isinstance(cell, str) else cell for name, cell in value.items()
        }
        columns.update(dict.fromkeys(cells))
        rows.append(Row(number, cells))
    if len(faults) > FAULTS_NAMED:
        more = len(faults) - FAULTS_NAMED
        faults = [*faults[:FAULTS_NAMED], f"{path}: {more} more line{'s' * (more > 1)} cannot be read."]
    return with_class_names(Rows(path, tuple(columns), tuple(rows), tuple(faults)))
