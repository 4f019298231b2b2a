"""Tables with one column per class: what their cells say, told from all columns together."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import Row
from swtformer.datasets.tables.column_names import is_metadata, is_unnamed
from swtformer.datasets.tables.table_settings import TableSettings
from swtformer.errors import some

_FAMILIES = (
    ("true t", "false f"),
    ("yes y", "no n"),
    ("x ✓ ✔ ☑ ✅", "- ✗ ✘ ☐ ❌"),
    ("present", "absent"),
    ("positive pos", "negative neg"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si sí sì", "no"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
    ("vero verdadero", "falso"),
)
PRESENT = frozenset(word for present, _ in _FAMILIES for word in present.split())
ABSENT = frozenset(word for _, absent in _FAMILIES for word in absent.split())
"""Words (lower case) that say whether a class is in an image, beside numbers."""

_SAID = {"present", "absent"}
_HOLDS = {"blank": False, "absent": False, "present": True}

LARGEST_COUNT = 50
"""Numbers above it are no counts of objects: they need a threshold."""

_GRADE = re.compile(r"(grade|stage|level|severity|score)$", re.IGNORECASE)
"""Ends of names of columns whose numbers are no counts of objects."""

IS_OR_HAS = re.compile(r"(is|has)[_\s]|(is|has)(?=[A-Z])")
"""Names of columns that are probably no class."""


def kind_of(value: Any) -> str:
    """What a cell of a class's column is.

    One of: blank, one, zero, minus (-1), fraction (of 1), count (above 1), present, absent, other.
    """
    if value is None or value == "":
        return "blank"
    if isinstance(value, bool):
        return "one" if value else "zero"
    return _kind_of_text(str(value))


def kinds_of(cells: Iterable[Any]) -> Counter[str]:
    """How many cells of a column are of each kind; each different cell is looked at once."""
    kinds: Counter[str] = Counter()
    for cell, count in Counter(cell if isinstance(cell, Hashable) else repr(cell) for cell in cells).items():
        kinds[kind_of(cell)] += count
    return kinds


@functools.lru_cache(maxsize=1 << 14)
def _kind_of_text(value: str) -> str:
    text = value.strip().lower()
    if text in PRESENT:
        return "present"
    if text in ABSENT:
        return "absent"
    number = score_in(text)
    if number is None:
        return "other"
    named = {0.0: "zero", 1.0: "one", -1.0: "minus"}
    if number in named:
        return named[number]
    if 0 < number < 1:
        return "fraction"
    return "count" if number > 1 and number.is_integer() else "other"


@functools.lru_cache(maxsize=1 << 14)
def number_in(text: str) -> float | None:
    """The number that a text is, or None."""
    return float(text) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text) else None


def score_in(text: str) -> float | None:
    """The number that a cell is, or None: percent and the decimal comma of a score (0,87) count as well."""
    if text.endswith("%"):
        number = number_in(text[:-1].strip().replace(",", "."))
        return None if number is None else number / 100
    return number_in(text.replace(",", ".") if re.fullmatch(r"0,\d+|1,0+", text) else text)


def looks_like_class(cells: Sequence[Any], *, any_number: bool = False) -> bool:
    """Whether most cells of a column are flags, scores, or counts with a zero among them.

    Args:
        cells: of the column.
        any_number: whether other numbers count as well.
    """
    kinds = kinds_of(cells)
    filled = len(cells) - kinds["blank"]
    said = (
        {str(cell).strip().lower() for cell in cells} & (PRESENT | ABSENT) if kinds.keys() & _SAID else set()
    )
    if kinds["one"] or kinds["zero"]:  # beside numbers, true and false are the only words
        words = said - {"true", "false"}
        kinds["other"] += sum(str(cell).strip().lower() in words for cell in cells)
    elif not any(said <= {*present.split(), *absent.split()} for present, absent in _FAMILIES):
        return False
    if not filled or (kinds["other"] and 2 * (kinds["other"] + kinds["blank"]) >= len(cells)):
        return False
    return any_number or not kinds["count"] or kinds["zero"] + kinds["blank"] > 0


def find_class_columns(
    rows: Sequence[Row], columns: Sequence[str], known: frozenset[str], *, any_number: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that stand for classes, and those that look the same but are passed over by their names.

    With known classes, those of them that are columns. Columns called ``is_…`` or ``has_…`` are classes only
    if all are called so.
    """
    named = [name for name in columns if name in known]
    cells = {name: [row.cells.get(name) for row in rows] for name in columns}
    alike = [
        name for name in columns if name not in named and looks_like_class(cells[name], any_number=any_number)
    ]
    if named:
        return tuple(named), tuple(alike)
    plain = [name for name in alike if not is_metadata(name) and not is_unnamed(name)]
    without_flags = [name for name in plain if not IS_OR_HAS.match(name)]
    classes = without_flags or plain
    marks = {kind for name in classes for kind in kinds_of(cells[name])}
    if classes and marks <= {"blank", "present", "one"}:
        empty = {
            name for name in columns if not is_metadata(name) and set(kinds_of(cells[name])) == {"blank"}
        }
        classes = [name for name in columns if name in empty or name in classes]
    return tuple(classes), tuple(name for name in alike if name not in classes)


@dataclass(frozen=True)
class Flags:
    """How the columns of classes are read.

    Attributes:
        threshold: number from which a class is in the image.
        minus_one: whether -1 means so.
        note: what was decided, in words; "" for plain 0 and 1.
    """

    threshold: float
    minus_one: bool
    note: str

    def holds(self, value: Any) -> bool:
        """Whether a cell says that the class is in the image."""
        kind = kind_of(value)
        if kind in _HOLDS:
            return _HOLDS[kind]
        if kind == "minus":
            return self.minus_one
        number = float(value) if isinstance(value, int | float) else score_in(str(value).strip().lower())
        return number is not None and number >= self.threshold


def read_flags(
    rows: Sequence[Row], columns: Sequence[str], options: TableSettings, path: Path, problems: Problems
) -> Flags:
    """How to read columns of classes; what cannot be told is a fatal problem that says how to answer."""
    by_column = {name: kinds_of(row.cells.get(name) for row in rows) for name in columns}
    kinds: Counter[str] = sum(by_column.values(), Counter())
    notes = []
    threshold = 0.5 if options.threshold is None else options.threshold
    if kinds["count"]:
        many = [name for name, own in by_column.items() if own["count"]]
        values = (number_in(str(row.cells.get(name)).lower()) for row in rows for name in many)
        largest = max(value for value in values if value is not None)
        grades = [name for name in many if _GRADE.search(name)]
        if options.threshold is None and (largest > LARGEST_COUNT or kinds["fraction"] or grades):
            many = grades or many
            problems.fatal(
                "table_columns",
                f"{path}: the columns {some(many)} hold numbers up to {largest:g}; say from which on a "
                "class is in the image (reader.threshold), or name the columns of the classes "
                "(reader.label_columns).",
            )
        notes.append(
            f"numbers from {threshold if options.threshold is not None else 1:g} on mean that it is there"
        )
    elif kinds["fraction"]:
        scored = [name for name, own in by_column.items() if own["fraction"]]
        plain = [name for name in columns if name not in scored]
        if options.threshold is None and plain:
            problems.fatal(
                "table_columns",
                f"{path}: the columns {some(scored)} hold scores, {some(plain)} only 0 and 1; name those "
                "that are classes (reader.label_columns), or say from which score on "
                "(reader.threshold).",
            )
        said = "by default; reader.threshold" if options.threshold is None else "reader.threshold"
        notes.append(f"scores from {threshold:g} on count ({said})")
    minus = kinds["minus"]
    if minus and kinds["zero"] and options.minus_one is None:
        problems.fatal(
            "table_columns",
            f"{path}: columns of classes hold -1 ({minus} times) beside 0 and 1; say what it means by "
            "reader.minus_one absent or reader.minus_one present.",
        )
    elif minus:
        notes.append(f"-1 means {options.minus_one or 'absent'}")
    doubtful = kinds["blank"] and (kinds["zero"] or kinds["absent"] or kinds["fraction"] or minus)
    if doubtful and options.blank is None:
        name = next(name for name, own in by_column.items() if own["blank"])
        line = next(row.line for row in rows if kind_of(row.cells.get(name)) == "blank")
        problems.fatal(
            "table_row",
            f"{path}:{line}: column {name!r} must be 0 or 1, got '' ({kinds['blank']} such cells); fill "
            "them, or say by reader.blank absent that these classes are not there.",
        )
    elif kinds["blank"]:
        notes.append("empty cells mean that it is not there")
    _tell_others(rows, columns, by_column, path, problems)
    return Flags(threshold, options.minus_one == "present", "; ".join(notes))


def _tell_others(
    rows: Sequence[Row],
    columns: Sequence[str],
    by_column: dict[str, Counter[str]],
    path: Path,
    problems: Problems,
) -> None:
    """One problem for each column with cells that are no flags."""
    for name in columns:
        count = by_column[name]["other"]
        if count:
            row = next(row for row in rows if kind_of(row.cells.get(name)) == "other")
            more = f" ({count} such cells)" if count > 1 else ""
            message = f"column {name!r} must be 0 or 1, got {str(row.cells[name])!r:.60}{more}."
            problems.fatal("table_row", f"{path}:{row.line}: {message}")
