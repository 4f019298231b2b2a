"""Values of JSON files as class names: text, numbers, lists, scores, and objects that name one class each."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swtformer.datasets.background import is_nothing, warn_of_background
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import parse_json
from swtformer.datasets.tables.label_cells import NAME_KEYS, SCORE_KEYS
from swtformer.errors import some

MARKS = ";\uff1b\u3001|,\uff0c"
"""What separates several names in one text; the first of them that is in it."""
NUMBERS_WAY_OUT = (
    'add a list "classes", write classes.txt with a name per line, number 0 first, or name them in that '
    "order with data.classes"
)


@dataclass(frozen=True)
class Item:
    """One image of a JSON file.

    Attributes:
        name: as it stands there.
        value: its labels in any form.
        source: file and place, for messages.
        split: name of its split; None if it has none.
    """

    name: str
    value: Any
    source: str
    split: str | None = None


@dataclass(frozen=True)
class Labels:
    """Class names of images.

    Attributes:
        of: class names of each item; None where they are not known.
        names: all that occur, those of no image included, sorted.
    """

    of: tuple[tuple[str, ...] | None, ...]
    names: tuple[str, ...]


def read_labels(
    items: Sequence[Item],
    *,
    classes: Mapping[int, str] | None,
    declared: Collection[str] | None,
    threshold: float | None,
    where: str,
    problems: Problems,
) -> Labels:
    """Read the values of all items; what is decided is said in one warning, what is in doubt is fatal.

    Args:
        items: the images.
        classes: names by number, for values that are numbers.
        declared: classes of the settings or a class file, which stay classes if they sound like none.
        threshold: score from which a class is in the image; by default 0.5.
        where: the file, for messages.
        problems: collects what is wrong.
    """
    reading = _Reading(0.5 if threshold is None else threshold, is_asked=threshold is not None)
    faults = []
    cells: list[_Cell | None] = []
    for item in items:
        try:
            cells.append(reading.cell(item.value))
        except ValueError as error:
            faults.append(f"{item.source}: {error}.")
            cells.append(None)
    problems.fatal_once("json_labels", faults)
    named = _with_names(cells, classes, reading, where, problems)
    found = dict.fromkeys(name for names in (*named, reading.keys) for name in names or ())
    nothing = {name for name in found if is_nothing(name, declared)}
    warn_of_background((name for name in found if name in nothing), where, problems)
    if reading.is_scored:
        told = "asked for" if threshold is not None else "by default; reader.threshold"
        reading.notes.append(f"scores from {reading.threshold:g} on count ({told})")
    if reading.notes:
        problems.warn("json_read", f"{where}: {'; '.join(dict.fromkeys(reading.notes))}.")
    of = tuple(
        None if names is None else tuple(dict.fromkeys(name for name in names if name not in nothing))
        for names in named
    )
    return Labels(of, tuple(sorted(found.keys() - nothing)))


@dataclass(frozen=True)
class _Cell:
    """One value: names, or numbers; a list of numbers may have one for each class instead."""

    names: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    is_list: bool = False


class _Reading:
    """Reads single values, and keeps what was decided."""

    def __init__(self, threshold: float, *, is_asked: bool) -> None:
        self.threshold = threshold
        self.is_scored = False
        self.keys: dict[str, None] = {}
        self.notes: list[str] = []
        self._is_asked = is_asked

    def cell(self, value: Any) -> _Cell | None:
        """Read one value; None where it says that nothing is known.

        Raises:
            ValueError: it holds no labels.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, str):
            return self._text(value.strip())
        if isinstance(value, bool):
            raise ValueError(f"labels must be names, got {value}")
        if isinstance(value, int | float):
            return _Cell(numbers=(value,))
        if isinstance(value, list):
            return self._list(value)
        return self._object(value)

    def _text(self, text: str) -> _Cell:
        if text.startswith(("[", "{")):
            try:
                return self.cell(parse_json(text)) or _Cell()
            except ValueError:
                # As Python prints a list: ['cat', 'dog']
                try:
                    return self.cell(parse_json(text.replace("'", '"'))) or _Cell()
                except ValueError:
                    raise ValueError(f"{text!r:.60} is not a list of labels") from None
        mark = next((mark for mark in MARKS if mark in text), None)
        if mark is not None:
            self.notes.append(f"text such as {text!r:.40} is several labels, separated by {mark!r}")
        names = tuple(filter(None, (part.strip() for part in text.split(mark or ";"))))
        if names and all(name.isdecimal() for name in names):
            return _Cell(numbers=tuple(map(float, names)))
        return _Cell(names)

    def _list(self, items: Sequence[Any]) -> _Cell:
        flat = [part for item in items for part in (item if isinstance(item, list) else [item])]
        if flat and all(isinstance(part, int | float) for part in flat):
            return _Cell(numbers=tuple(map(float, flat)), is_list=True)
        if not all(isinstance(part, str | dict) for part in flat):
            raise ValueError(f"labels must be names, got {items!r:.60}")
        names = [part.strip() for part in flat if isinstance(part, str) and part.strip()]
        cells = [self._object(part) for part in flat if isinstance(part, dict)]
        return _Cell(
            (*names, *(name for cell in cells for name in cell.names)),
            tuple(number for cell in cells for number in cell.numbers),
        )

    def _object(self, value: Any) -> _Cell:
        """Names in an object: of the class that it is about, or of those that have a number in it."""
        if not isinstance(value, dict):
            raise ValueError(f"labels must be names, got {value!r:.60}")
        key = next((key for key in NAME_KEYS if key in value), None)
        if key is not None:
            score = next((value[name] for name in SCORE_KEYS if isinstance(value.get(name), int | float)), 1)
            own = self.cell(value[key])
            return own if own is not None and self._is_there(score) else _Cell()
        if not all(isinstance(number, int | float) for number in value.values()):
            raise ValueError(f"expected labels, or 0 or 1 for each class, got {value!r:.60}")
        self.keys.update(dict.fromkeys(map(str.strip, value)))
        return _Cell(tuple(name.strip() for name, number in value.items() if self._is_there(number)))

    def _is_there(self, number: float) -> bool:
        if number not in (0, 1):
            self.is_scored = True
            if not 0 <= number <= 1 and not self._is_asked:
                raise ValueError(
                    f"{number} is no score between 0 and 1; say with reader.threshold from which number on "
                    "a class is in the image"
                )
        return number >= self.threshold

    def vector(self, numbers: Sequence[float], classes: Sequence[str]) -> tuple[str, ...]:
        """Names of a list with a number for each class."""
        pairs = zip(classes, numbers, strict=True) if numbers else ()
        return tuple(name for name, number in pairs if self._is_there(number))


def _with_names(
    cells: Sequence[_Cell | None],
    classes: Mapping[int, str] | None,
    reading: _Reading,
    where: str,
    problems: Problems,
) -> list[tuple[str, ...] | None]:
    """Names of each cell, numbers by the class list."""
    numbered = [cell for cell in cells if cell is not None and cell.numbers]
    if not numbered:
        return [None if cell is None else cell.names for cell in cells]
    if classes is not None and all(f"{n:g}" in classes.values() for cell in numbered for n in cell.numbers):
        return [None if cell is None else (*cell.names, *(f"{n:g}" for n in cell.numbers)) for cell in cells]
    example = ", ".join(f"{number:g}" for number in numbered[0].numbers[:8])
    if classes is None:
        problems.fatal(
            "number_labels",
            f"{where}: the labels of {len(numbered)} images are numbers ({example}), and nothing says what "
            f"they mean; {NUMBERS_WAY_OUT}.",
        )
        return [None] * len(cells)
    lists = [cell.numbers for cell in numbered if cell.is_list]
    are_flags = all(number in (0, 1) for numbers in lists for number in numbers)
    is_vector = (
        bool(lists)
        and len(lists) == len(numbered)
        and all(len(numbers) == len(classes) for numbers in lists)
        and (are_flags or any(not number.is_integer() for numbers in lists for number in numbers))
    )
    is_repeated = any(len(set(numbers)) < len(numbers) for numbers in lists)
    if is_vector and are_flags and not is_repeated and len(set(lists)) == 1:
        problems.fatal(
            "number_labels",
            f"{where}: lists such as [{example}] may be numbers of classes, or 0 or 1 for each; write names.",
        )
        return [None] * len(cells)
    if is_vector:
        order = [classes[number] for number in sorted(classes)]
        reading.keys.update(dict.fromkeys(order))
        reading.notes.append(f"lists have one number for each of the {len(order)} classes")
        try:
            flags = [
                None if one is None else (*one.names, *reading.vector(one.numbers, order)) for one in cells
            ]
        except ValueError as error:
            problems.fatal("number_labels", f"{where}: {error}.")
            return [None] * len(cells)
        return flags
    unknown = sorted({number for cell in numbered for number in cell.numbers if number not in classes})
    if unknown:
        told = ", ".join(f"{number:g}" for number in unknown[:5])
        problems.fatal(
            "number_labels",
            f"{where}: numbers of classes that the class list does not have: {told}; it has "
            f"{min(classes)} to {max(classes)}.",
        )
        return [None] * len(cells)
    shown = some(f"{number}={name}" for number, name in classes.items())
    reading.notes.append(f"numbers are those of the class list: {shown}")
    reading.keys.update(dict.fromkeys(classes.values()))
    return [
        None if cell is None else (*cell.names, *(classes[int(number)] for number in cell.numbers))
        for cell in cells
    ]
