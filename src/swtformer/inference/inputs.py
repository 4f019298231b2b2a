"""What `predict` is asked to segment: files, folders, patterns and lists, and what the outputs are called."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swtformer.datasets.files import image_files_below
from swtformer.datasets.paths import record_id
from swtformer.datasets.records import Record
from swtformer.errors import DataError

LIST = "-"
"""The input that means a list on stdin, one path per line."""
NAMED = 5
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class _Found:
    """An image and its path as far as it names the outputs: below a folder, or its file name alone."""

    path: Path
    name: str


def find_inputs(
    inputs: Sequence[str], *, listed: Iterable[str] = (), leave_out: Sequence[Path] = ()
) -> list[Record]:
    """Images to segment, in order, without duplicates.

    - A folder means all images below it, sorted so that frame 2 comes before frame 10. They are called
      by their paths below the folder.
    - A pattern (``*``, ``?``, ``[…]``, ``**``) that no shell expanded means the files that it matches. They
      are called by their paths below its part before the first wildcard.
    - A file is called by its file name.
    - A line of the list is called by its path as written, or by its file name where
      the path is absolute or leads upwards. Lines that name folders, as `find` prints, are passed over.

    An image's name depends on its own input, never on the others. An image that several inputs name counts
    once, under its first name.

    Args:
        inputs: paths and patterns; "-" means the list.
        listed: lines of the list; empty ones and folders are passed over.
        leave_out: folders of earlier results, whose pictures are not photographs to segment.

    Returns:
        Records without labels; `id` is the name of the outputs. A file of the list may be missing.

    Raises:
        DataError: an input is missing, a folder or pattern holds no image, there is nothing at all, or two
            images would have one output name.
    """
    if not inputs:
        raise DataError("Name what to segment: files, folders, patterns, or - for a list on stdin.")
    found: list[_Found] = []
    for text in inputs:
        found += _of_list(listed) if text == LIST else _of_argument(text, leave_out)
    if not found:
        raise DataError("There is nothing to segment: the list is empty, or names only folders.")
    records: dict[str, Record] = {}
    clashes: list[str] = []
    seen: set[str] = set()
    for item in found:
        place = os.path.abspath(item.path)
        if place in seen:
            continue
        seen.add(place)
        name = record_id(item.name)
        known = records.setdefault(name, Record(name, item.path, None))
        if known.image != item.path:
            clashes.append(f"{known.image} and {item.path} would both be {name}.png")
    if clashes:
        shown = "; ".join(clashes[:NAMED]) + ("; …" if len(clashes) > NAMED else "")
        count = "1 image" if len(clashes) == 1 else f"{len(clashes)} images"
        raise DataError(
            f"{count} would overwrite the result of another: {shown}. Name the folder "
            "that holds them, whose images are called by their paths below it; or segment them in separate "
            "calls with an `out` each."
        )
    return list(records.values())


def _of_list(lines: Iterable[str]) -> list[_Found]:
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("\ufeff")
        if "\0" in text:
            raise DataError(f"Line {number} of the list holds a NUL character; expected one path per line.")
        path = Path(os.path.normpath(text))  # "." of an empty line
        if path.name in ("", "..") or os.path.isdir(text):
            continue
        leads_away = path.is_absolute() or path.parts[0] == ".."
        found.append(_Found(Path(text), path.name if leads_away else path.as_posix()))
    return found


def _below(path: Path, folder: Path) -> _Found:
    return _Found(path, Path(os.path.relpath(path, folder)).as_posix())


def _of_argument(text: str, leave_out: Sequence[Path]) -> list[_Found]:
    path = Path(text)
    if path.is_dir():
        images = sorted(image_files_below(path), key=_in_counting_order)
        kept = [image for image in images if not any(_is_below(image, path, folder) for folder in leave_out)]
        if not kept:
            raise DataError(f"{path}: holds no image, by the extensions of its files.")
        return [_below(image, path) for image in kept]
    if path.exists():
        return [_Found(path, path.name)]
    if not _WILDCARDS.isdisjoint(text):
        matches = sorted((Path(match) for match in glob.glob(text, recursive=True)), key=_in_counting_order)
        files = [match for match in matches if match.is_file()]
        if not files:
            raise DataError(f"{text}: no file matches this pattern.")
        return [_below(file, _before_wildcard(path)) for file in files]
    raise DataError(f"{path}: does not exist; expected a file, a folder, a pattern or - for a list on stdin.")


def _before_wildcard(pattern: Path) -> Path:
    parts = []
    for part in pattern.parts[:-1]:
        if not _WILDCARDS.isdisjoint(part):
            break
        parts.append(part)
    return Path(*parts)


def _is_below(image: Path, searched: Path, folder: Path) -> bool:
    """Whether an image lies in a folder of results that is itself below the folder that is searched."""
    results = folder.resolve()
    # os.path.realpath, as Path.resolve fails where links lead to themselves.
    return results != searched.resolve() and Path(os.path.realpath(image)).is_relative_to(results)


def _in_counting_order(path: Path) -> list[list[tuple[bool, int, str]]]:
    """Sort key under which numbers in names count as numbers."""
    return [
        [
            (False, int(piece), "") if piece.isdecimal() else (True, 0, piece)
            for piece in re.split(r"(\d+)", part)
            if piece
        ]
        for part in path.parts
    ]
