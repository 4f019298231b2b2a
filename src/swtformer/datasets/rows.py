"""Tables as rows of named cells: CSV with any of three delimiters, and JSON Lines.

A byte-order mark, Windows line ends, blanks around cells and a missing final newline make no difference.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.errors import DataError, nearest

DELIMITERS = (",", ";", "\t")
PICKLE_SUFFIXES = frozenset({".npy", ".npz", ".pkl", ".pickle", ".pt", ".pth", ".joblib"})
"""Files that can hold pickles, which run code when they are loaded; they are never opened."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Row:
    """One row: where it starts (line from 1) and its cells; a cell is text in CSV, any JSON in JSONL."""

    line: int
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """The contents of a table.

    Attributes:
        path: the file.
        columns: column names in order, without blanks around them.
        rows: in file order; blank lines are left out.
        faults: one message per row that could not be read, with file and line.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[str, ...]


def refuse_pickle(path: Path) -> None:
    """Raise DataError for a file that may hold a pickle, by its name; the file is not opened."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise DataError(
            f"{path}: label arrays that may hold pickles are never read, because loading one can run code. "
            "Write the labels as a CSV file with the columns image,labels."
        )


def read_text(path: Path) -> str:
    """Text of a UTF-8 file without byte-order mark.

    Raises:
        DataError: the file is missing, is not UTF-8 text, or may be a pickle.
    """
    refuse_pickle(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: is a pipe, socket or device; expected a text file.")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is UTF-16 text; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(_LINE_END.split(error.object[: error.start].decode()))
        raise DataError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8.") from None


def parse_json(text: str) -> Any:
    """Plain value of a JSON text.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or holds half a Unicode character.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a lone escape \\ud800 to \\udfff is not a character") from None
    return value


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and stripped lines of a list file; blank lines are left out."""
    for number, line in enumerate(_LINE_END.split(read_text(path)), start=1):
        if stripped := line.strip():
            yield number, stripped


def read_rows(path: Path) -> Rows:
    """Read a CSV or JSON Lines file, by its extension (.jsonl and .ndjson are JSON Lines).

    Raises:
        DataError: the file as a whole cannot be read.
    """
    text = read_text(path)
    return _read_jsonl(path, text) if path.suffix.lower() in {".jsonl", ".ndjson"} else _read_csv(path, text)


def _read_csv(path: Path, text: str) -> Rows:
    header = next((line for line in text.splitlines() if line.strip()), "")
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    faults: list[str] = []
    line = 1
    try:
        # Header cells hold names, not lists, so the right delimiter gives the most columns.
        delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped):
                pass
            elif not columns:
                columns = tuple(stripped)
            elif len(stripped) != len(columns):
                faults.append(_wrong_width(path, line, len(stripped), columns, delimiter))
            else:
                rows.append(Row(line, dict(zip(columns, stripped, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"{path}:{line}: cannot be read as CSV ({error}); check the quotes.")
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise DataError(f"{path}:1: the column {doubled[0]!r} appears twice; rename one.")
    return Rows(path, columns, tuple(rows), tuple(faults))


def _wrong_width(path: Path, line: int, got: int, columns: tuple[str, ...], delimiter: str) -> str:
    hint = (
        "Quote a cell that holds the delimiter, or separate several labels by |."
        if got > len(columns)
        else ""
    )
    return f"{path}:{line}: has {got} cells by {delimiter!r}, the header has {len(columns)}. {hint}".rstrip()


def _read_jsonl(path: Path, text: str) -> Rows:
    rows: list[Row] = []
    faults: list[str] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(_LINE_END.split(text), start=1):
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
        cells = {
            name.strip(): cell.strip() if isinstance(cell, str) else cell for name, cell in value.items()
        }
        columns.update(dict.fromkeys(cells))
        rows.append(Row(number, cells))
    return Rows(path, tuple(columns), tuple(rows), tuple(faults))


def find_column(columns: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    """The first column whose lower-case name is one of `names`, in the order of `names`."""
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def no_column(path: Path, columns: tuple[str, ...], names: tuple[str, ...]) -> str:
    """Message for a table that lacks a column it needs."""
    shown = ", ".join(columns) or "none"
    guess = next((hint for c in columns if "Did you mean" in (hint := nearest(c.lower(), names))), "")
    return f"{path}:1: expected a header with a column {' or '.join(names)}; found: {shown}. {guess}".rstrip()
