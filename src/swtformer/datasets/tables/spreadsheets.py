"""Excel and Parquet files as rows; their libraries are the extra `tables`."""

from __future__ import annotations

import datetime
import math
import zipfile
from itertools import zip_longest
from pathlib import Path
from typing import Any

from swtformer.datasets.files import require_unpacked_size
from swtformer.datasets.paths import is_image_name
from swtformer.datasets.rows import Row, Rows, numbered
from swtformer.errors import DataError

SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".parquet"})
"""Extensions (lower case) of files that are read here."""

OLD = frozenset({".xls", ".ods", ".feather", ".arrow", ".dta", ".sav"})
"""Tables of other programs, which are refused with what to save them as."""

LARGEST_BYTES = 1 << 30
"""Size of an unpacked workbook beyond which it is not opened."""

LEAST_ROWS, ROWS_PER_BYTE = 1_000_000, 10
"""Rows of a Parquet file that are always read, and those for each of its bytes: repeated rows take few."""


def refuse_old(path: Path) -> None:
    """Raise DataError for a table in a format that is not read, by its name."""
    if path.suffix.lower() in OLD:
        raise DataError(f"{path}: {path.suffix} files are not read; save it as .xlsx, .parquet or CSV.")


def read_spreadsheet(path: Path) -> Rows:
    """Rows of an Excel workbook's first sheet that holds anything, or of a Parquet file.

    Raises:
        DataError: the file is damaged or too large, or its library is not installed.
    """
    return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_workbook(path)


def _missing(path: Path, package: str) -> DataError:
    return DataError(
        f"{path}: reading {path.suffix} files needs {package}: pip install 'swtformer[tables]'. "
        "Or save the table as CSV."
    )


def _damaged(path: Path, what: str, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path}: is not {what}, or is damaged ({reason:.100}); save it again.")


def _read_workbook(path: Path) -> Rows:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise _missing(path, "openpyxl") from None
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
                raise DataError(f"{path}: unpacks to more than 1 GiB; save the table as CSV.")
            for member in archive.infolist():
                require_unpacked_size(member, f"{path}: {member.filename}", LARGEST_BYTES)
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheets = {sheet.title: _filled(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
        finally:
            book.close()
    except DataError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise _damaged(path, "an Excel workbook", error) from None
    names = [name for name, lines in sheets.items() if lines]
    if not names:
        return Rows(path, (), (), ())
    notes: tuple[str, ...] = (
        (f"the sheet {names[0]!r} is read, the first of {len(names)}",) if len(names) > 1 else ()
    )
    lines, notes = _without_title(sheets[names[0]], notes)
    header = ["" if cell is None else str(cell).strip() for cell in lines[0][1]]
    has_header = not any(map(is_image_name, header))
    columns = header if has_header else list(numbered(len(header)))
    doubled = sorted({name for name in columns if name and columns.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: the column {doubled[0]!r} appears twice; rename one.")
    rows = [
        Row(line, {name: cell for name, cell in zip_longest(columns, cells[: len(columns)]) if name})
        for line, cells in lines[has_header:]
    ]
    return Rows(path, tuple(filter(None, columns)), tuple(rows), (), has_header, notes)


def _without_title(
    lines: list[tuple[int, list[Any]]], notes: tuple[str, ...]
) -> tuple[list[tuple[int, list[Any]]], tuple[str, ...]]:
    """The lines from the header on: above it, lines of one cell are titles."""
    widths = [sum(cell not in (None, "") for cell in cells) for _, cells in lines]
    first = next((index for index, width in enumerate(widths) if width > 1), 0)
    return lines[first:], (*notes, f"the header is in line {lines[first][0]}") if first else notes


def _filled(lines: Any) -> list[tuple[int, list[Any]]]:
    """Rows of a sheet that hold anything, with their numbers."""
    plain = ((number, [_plain(cell) for cell in cells]) for number, cells in enumerate(lines, start=1))
    return [(number, cells) for number, cells in plain if any(cell not in (None, "") for cell in cells)]


def _read_parquet(path: Path) -> Rows:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise _missing(path, "pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
        if file.metadata.num_rows > max(LEAST_ROWS, ROWS_PER_BYTE * path.stat().st_size):
            raise DataError(
                f"{path}: holds {file.metadata.num_rows:,} rows, too many for its size; save it as CSV."
            )
        table = file.read()
        columns = tuple(name.strip() for name in table.column_names)
        values = [[_plain(cell) for cell in column.to_pylist()] for column in table.columns]
        pictures = [name for name, cells in zip(columns, values, strict=True) if any(map(_is_picture, cells))]
    except DataError:
        raise
    except Exception as error:  # pyarrow raises whatever its decoders raise
        raise _damaged(path, "a Parquet file", error) from None
    if pictures:
        raise DataError(
            f"{path}: the column {pictures[0]!r} holds the pictures themselves; save them as files, and name "
            "them in a column."
        )
    rows = [
        Row(number, dict(zip(columns, cells, strict=True)))
        for number, cells in enumerate(zip(*values, strict=True), start=1)
    ]
    return Rows(path, columns, tuple(rows), ())


def _is_picture(cell: Any) -> bool:
    """Whether a cell, as `_plain` left it, was a picture without a name."""
    return isinstance(cell, dict) and {"bytes", "path"} <= cell.keys() and not cell["path"]


def _plain(value: Any) -> Any:
    """A cell as CSV or JSON would hold it; NaN is an empty cell, and whole numbers are whole."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):  # bytes of pictures are not kept
        return {str(name): None if isinstance(item, bytes) else _plain(item) for name, item in value.items()}
    return None if isinstance(value, bytes) else value
