"""Text tables: CSV with any usual delimiter, with or without a header, and lists of image and labels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from swtformer.datasets.paths import IMAGE_EXTENSIONS, is_image_name
from swtformer.datasets.rows import Row, Rows, is_whole_number, numbered, split_lines
from swtformer.errors import DataError

DELIMITERS = (",", ";", "\t", "|")

MOST_TITLES = 20
"""Lines among which the header is looked for."""

FAULTS_NAMED = 3
"""Rows of a wrong width that are told one by one; more are told in one line."""

_NAME = re.compile(
    r"\s*(?P<name>.*?\.(?:" + "|".join(sorted(mark[1:] for mark in IMAGE_EXTENSIONS)) + r"))(?=[\s,;:]|$)",
    re.IGNORECASE,
)


def read_csv(path: Path, text: str) -> Rows:
    """Rows of a CSV file; without a header if a cell of the first line is the name of an image."""
    lines = text.splitlines()
    skipped = 0
    if lines and re.fullmatch(r"sep=(.)", lines[0].strip(), re.IGNORECASE):  # Excel's own first line
        skipped = 1
    while len(lines) > skipped + 1 and _is_comment(lines[skipped]):
        skipped += 1
    try:
        titles = _titles(lines[skipped : skipped + MOST_TITLES])
        skipped += titles
        first = next((line for line in lines[skipped:] if line.strip()), "")
        delimiter, has_header = _dialect(first)
        found, faults = _cells(path, text, delimiter, skipped)
    except csv.Error as error:
        return Rows(path, (), (), (_broken(path, 1, error),))
    if not found:
        return Rows(path, (), (), tuple(faults))
    if has_header:
        columns = _column_names(path, found.pop(0)[1])
    else:
        columns = numbered(max(len(cells) for _, cells in found))
    rows = []
    wrong = []
    for line, cells in found:
        width = len(columns)
        whole = cells[:width] if not any(cells[width:]) else cells
        if not has_header:
            whole = [*whole, *[""] * (width - len(whole))]
        if len(whole) == width:
            rows.append(Row(line, {name: cell for name, cell in zip(columns, whole, strict=True) if name}))
        else:
            wrong.append((line, len(cells)))
    faults = [*_wrong_widths(path, wrong, columns, delimiter), *faults]
    notes = (f"the header is in line {skipped + 1}",) if titles else ()
    return Rows(path, tuple(filter(None, columns)), tuple(rows), tuple(faults), has_header, notes)


def _dialect(first: str) -> tuple[str, bool]:
    """Delimiter of a table, and whether its first line is a header, from that line.

    Header cells hold names, not lists, so the right delimiter gives the most columns.
    """
    by_mark = {mark: _split(first, mark) for mark in DELIMITERS}
    for mark, cells in by_mark.items():
        if len(cells) > 1 and any(_is_name(cell, mark) for cell in cells):
            return mark, False
    if _is_name(first.strip(), ","):
        return ",", False
    mark = max(DELIMITERS[:3], key=lambda mark: len(by_mark[mark]))
    return ("|" if len(by_mark[mark]) == 1 < len(by_mark["|"]) else mark), True


def _titles(lines: Sequence[str]) -> int:
    """How many lines stand above the header: titles in the first cell alone, and blank ones."""
    text = "\n".join(lines)
    mark = max(DELIMITERS[:3], key=text.count)
    for count, line in enumerate(lines):
        cells = _split(line, mark)
        if len(list(filter(None, cells))) > 1:
            return 0 if any(_is_name(cell, mark) for cell in cells) else count
        if count == 0 and not any(cells[:1]):
            return 0
    return 0


def _is_comment(line: str) -> bool:
    return line.startswith("#") and not any(mark in line for mark in DELIMITERS)


def _split(line: str, mark: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]


def _is_name(cell: str, mark: str) -> bool:
    """Whether a cell is the name of an image, and not several cells by another delimiter."""
    is_one = not any(other in cell for other in DELIMITERS if other != mark)
    return is_one and is_image_name(cell.replace("\\", "/").rpartition("/")[2])


def _cells(
    path: Path, text: str, delimiter: str, skipped: int
) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Lines that hold anything, as (line, stripped cells), and the fault that ended the reading early."""
    found: list[tuple[int, list[str]]] = []
    line = 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and line > skipped:
                found.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        return found, [_broken(path, line, error)]
    return found, []


def _broken(path: Path, line: int, error: csv.Error) -> str:
    return f"{path}:{line}: cannot be read as CSV ({error}); check the quotes."


def _column_names(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    """Names of the header; columns without a name, such as pandas' index, are called ""."""
    names = [cell.removeprefix("#").strip() if index == 0 else cell for index, cell in enumerate(cells)]
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise DataError(f"{path}:1: the column {doubled[0]!r} appears twice; rename one.")
    return tuple(names)


def _wrong_widths(
    path: Path, wrong: Sequence[tuple[int, int]], columns: Sequence[str], delimiter: str
) -> list[str]:
    def hint(got: int) -> str:
        advice = " Quote a cell that holds the delimiter, or separate several labels by |."
        return advice if got > len(columns) else ""

    if len(wrong) > FAULTS_NAMED:
        line, got = wrong[0]
        return [
            f"{path}: {len(wrong)} rows have another number of cells by {delimiter!r} than the header "
            f"({len(columns)}), the first at line {line} ({got}).{hint(got)}"
        ]
    return [
        f"{path}:{line}: has {got} cells by {delimiter!r}, the header has {len(columns)}.{hint(got)}"
        for line, got in wrong
    ]


def is_label_list(text: str) -> bool:
    """Whether the first lines of a text are images with labels: ``a.jpg cat dog`` or ``a.jpg 0 3``."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    found = [_NAME.match(line) for line in lines]
    return all(found) and any(
        line[m.end() :].strip(" \t,;:") for line, m in zip(lines, found, strict=True) if m
    )


def read_list(path: Path, text: str) -> Rows:
    """Rows of a list of images and their labels; the labels of an image are one text or several words."""
    lines = [(number, line) for number, line in enumerate(split_lines(text), start=1) if line.strip()]
    columns = numbered(2)
    rows, faults = [], []
    for number, line in lines:
        match = _NAME.match(line)
        if match is None:
            faults.append(f"{path}:{number}: expected an image name and labels, got {line.strip()!r:.60}.")
            continue
        rest = line[match.end() :].strip(" \t,;:")
        mark = r"[,;|]" if re.search(r"[,;|]", rest) else r"\s+"
        labels = [label for part in re.split(mark, rest) if (label := part.strip())]
        are_numbers = all(map(is_whole_number, labels))
        cells = {columns[0]: match["name"], columns[1]: [*map(int, labels)] if are_numbers else labels}
        rows.append(Row(number, cells))
    if len(faults) > FAULTS_NAMED:
        faults = [f"{faults[0]} {len(faults) - 1} more lines are like it."]
    return Rows(path, columns, tuple(rows), tuple(faults), has_header=False)
