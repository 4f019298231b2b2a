"""Tables as rows of named cells, and the text and JSON that they are written in.

A byte-order mark, Windows line ends, blanks around cells and a missing final newline make no difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.errors import DataError

PICKLE_SUFFIXES = frozenset({".npy", ".npz", ".pkl", ".pickle", ".pt", ".pth", ".joblib"})
"""Files that can hold pickles, which run code when they are loaded; they are never opened."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(r"\d{300}")
_SHOWN_BYTES = 40
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Row:
    """One row: where it starts (line from 1) and its cells; text in CSV, any plain value elsewhere."""

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
        has_header: False where the columns are named "column 1", "column 2", … by their position.
        notes: how the file was read, where that is not obvious.
        unlabelled_without: column without which a row has unknown labels, instead of being at fault.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[str, ...]
    has_header: bool = True
    notes: tuple[str, ...] = ()
    unlabelled_without: str | None = None


def numbered(count: int) -> tuple[str, ...]:
    """Names of the columns of a table without header."""
    return tuple(f"column {index + 1}" for index in range(count))


def refuse_pickle(path: Path) -> None:
    """Raise DataError for a file that may hold a pickle, by its name; the file is not opened."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise DataError(
            f"{path}: label arrays that may hold pickles are never read, because loading one can run code. "
            "Write the labels as a CSV file with the columns image,labels."
        )


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, or of a UTF-16 file with a byte-order mark; the mark is left out.

    Raises:
        DataError: the file is missing, is in another encoding, or may be a pickle.
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
    if _is_unmarked_utf16(content):
        raise DataError(f"{path}: looks like UTF-16 without a byte-order mark; save it as UTF-8.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError:
            raise DataError(f"{path}: begins as UTF-16 text but is damaged; save it as UTF-8.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(path, error.object, error.start)) from None


def _is_unmarked_utf16(content: bytes) -> bool:
    """Whether every other byte at the start is zero, as in UTF-16 of English text."""
    start = content[:64]
    return len(start) > 3 and any(not any(start[first::2]) for first in (0, 1))


def _not_utf8(path: Path, content: bytes, place: int) -> str:
    """Message for text in another encoding, with its first such line as Windows-1252, the usual one."""
    lines = _LINE_END.split(content[:place].decode())
    rest = content[place : place + _SHOWN_BYTES].decode("cp1252", "replace")
    line = lines[-1][-_SHOWN_BYTES:] + _LINE_END.split(rest)[0]
    return (
        f"{path}:{len(lines)}: is not UTF-8 text; save it as UTF-8. In Excel: Save As, CSV UTF-8. If "
        f"{line!r} is right, it is Windows-1252 (or Latin-1): iconv -f CP1252 -t UTF-8."
    )


def read_start(path: Path, limit: int = 1 << 16) -> str:
    """About the first `limit` bytes of a text file, whole lines only; "" if it is not readable text."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return ""
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = content[: limit - limit % 2].decode(encoding, "ignore")
    return text if len(content) <= limit else "".join(text.splitlines(keepends=True)[:-1])


def parse_json(text: str) -> Any:
    """Plain value of a JSON text.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or holds half a Unicode character or a number
            of 300 digits.
    """
    try:
        # A hook for all numbers would double the time of reading large files.
        value = json.loads(text, parse_int=_number) if _LONG_NUMBER.search(text) else json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a lone escape \\ud800 to \\udfff is not a character") from None
    return value


def split_lines(text: str) -> list[str]:
    """Lines of a text by its line ends alone; other separators that Unicode knows stay."""
    return _LINE_END.split(text)


def is_whole_number(text: str) -> bool:
    """Whether a text is a whole number from 0 that Python reads; it refuses thousands of digits."""
    return text.isdecimal() and len(text) < 300


def _number(digits: str) -> int:
    if len(digits) >= 300:
        raise ValueError("a number has 300 digits or more")  # floats end at 308
    return int(digits)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and stripped lines of a list file; blank lines are left out."""
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        if stripped := line.strip():
            yield number, stripped
