"""JSON files of unknown origin: what one looks like by its beginning, and its whole content."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from swtformer.datasets.labels import CLASS_FILES
from swtformer.datasets.rows import parse_json, read_text
from swtformer.datasets.splits import choose_split
from swtformer.datasets.tables.table_files import holds_table
from swtformer.errors import DataError, some

HEAD_BYTES = 1 << 18
"""What is read of a file to see what it is."""
MAX_BYTES = 4 << 30
"""Larger files are refused: LVIS, the largest known, has 1.1 GB."""
MAX_FILES = 50
"""A folder with more JSON files than this has one per image, which is another format."""

LABEL_FOLDERS = ("annotations", "labels")
"""Folders for files of labels, beside those of the images."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)


def read_json(file: Path) -> Any:
    """Value of a JSON file.

    Raises:
        DataError: it is no JSON file, is damaged, or is larger than `MAX_BYTES`.
    """
    if file.is_dir() or file.suffix.lower() != ".json":
        raise DataError(f"{file}: is not a JSON file; expected a name that ends in .json.")
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{file}: has more than {MAX_BYTES >> 30} GiB; divide it into several files.")
    try:
        return parse_json(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: is incomplete or damaged JSON ({error.msg}).") from None
    except ValueError as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}).") from None


def beginning(file: Path) -> Any:
    """Value of the first `HEAD_BYTES` of a JSON file, with everything closed that is open there.

    Returns:
        The value, or None where the file is something else or cannot be opened.
    """
    try:
        status = file.stat()
    except OSError:
        return None
    return _beginning(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=MAX_FILES)
def _beginning(file: Path, changed_ns: int, size: int) -> Any:  # the last two are the key of the cache
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES).decode("utf-8-sig", errors="ignore")
        return parse_json(_closed(head) if size > HEAD_BYTES else head)
    except (OSError, ValueError):
        return None


def _closed(text: str) -> str:
    """The beginning of a JSON text up to its last complete item, with all brackets closed."""
    closers: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark == '"' or (mark in "]}" and not closers):
            break  # the text ends within a string, or is no JSON
        if mark in "[{":
            closers.append("]" if mark == "[" else "}")
        elif mark in "]}":
            closers.pop()
        if mark in "[]{},":
            end = token.start() if mark == "," else token.end()
    return text[:end] + "".join(reversed(closers))


def has_other_labels(folder: Path) -> bool:
    """Whether a table or VOC's folders lie there, so that JSON files are by-products, as exports are."""
    return holds_table(folder) or (folder / "JPEGImages").is_dir()


def json_files(folder: Path) -> list[Path]:
    """JSON files in a folder itself that may describe its images, sorted; none if there are too many."""
    found = [
        file
        for file in folder.glob("*.json")
        if file.name not in CLASS_FILES and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(found) if len(found) <= MAX_FILES else []


def find_files(folder: Path, is_wanted: Callable[[Any], bool]) -> dict[str, Path]:
    """JSON files of a data set by their names: those in its folder, else in one of `LABEL_FOLDERS`.

    Args:
        folder: of the data set; with a table or VOC's folders in it, there are none.
        is_wanted: tells from the beginning of a file whether it is one.
    """
    if has_other_labels(folder):
        return {}
    for place in (folder, *(folder / name for name in LABEL_FOLDERS)):
        if found := [file for file in json_files(place) if is_wanted(beginning(file))]:
            return {file.stem: file for file in found}
    return {}


def data_folder(file: Path) -> Path:
    """Folder of the data set that a file describes: its own, or the one above `LABEL_FOLDERS`."""
    folder = file.absolute().parent
    return folder.parent if folder.name in LABEL_FOLDERS else file.parent


def looks_like(value: Any) -> str:
    """What a JSON value is, in words, with the first of its keys."""
    if isinstance(value, dict):
        return f"an object with the keys {shown(value)}" if value else "an empty object"
    if isinstance(value, list):
        first = value[0] if value else None
        what = f"an object with the keys {shown(first)}" if isinstance(first, dict) else f"{first!r:.40}"
        return f"a list of {len(value):,} items, the first is {what}" if value else "an empty list"
    return f"the value {value!r:.40}"


def shown(items: Iterable[Any]) -> str:
    """The first items in quotes, and whether there are more."""
    return some(f"{item!r:.40}" for item in items)


def choose_file(path: Path, asked: str | None, files: Mapping[str, Path]) -> tuple[str | None, Path]:
    """Split and file to read of a format that has one file per split.

    Args:
        path: the file, which is then read, or a folder.
        asked: the split that is asked for: the name of a file without extension.
        files: those of the folder by that name.

    Returns:
        The split, None where there is only one file, and the file.

    Raises:
        DataError: there is no such file, or there are several and none is train's.
    """
    if path.is_file():
        return (None, path) if choose_split(path, asked, (), default=()) is None else (asked, path)
    if len(files) == 1:
        choose_split(path, None if asked in files else asked, (), default=())
        return None, next(iter(files.values()))
    chosen = choose_split(path, asked, files, default=("train", "training"))
    if chosen is None:
        told = ", ".join(files) or "none"
        raise DataError(f"{path}: which file holds the labels? Name one as the split; there are: {told}.")
    return chosen, files[chosen]
