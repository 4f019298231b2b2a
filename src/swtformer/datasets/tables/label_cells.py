"""What one cell of a table says about the labels of an image, before it is known what its words mean."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swtformer.datasets.rows import parse_json

NAME_KEYS = (
    "label", "labels", "name", "names", "category", "categories", "class", "classes", "class_name",
    "class_names", "category_name", "category_names", "label_name", "label_names", "choices", "choice",
    "tags", "tag", "class_label", "category_id", "class_id", "label_id",
)  # fmt: skip
"""Keys of a dictionary that hold names, in the order in which they are looked for."""

SCORE_KEYS = (
    "score",
    "scores",
    "confidence",
    "probability",
    "prob",
)

LONGEST_LITERAL = 1 << 16

_QUOTED = re.compile(r"\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*")
_NUMBERS = re.compile(r"\[\s*(?:-?(?:\d+\.?\d*|\.\d+)(?:\s+|(?=\])))+\]")


@dataclass(frozen=True)
class Cell:
    """What a cell holds; at most one of the fields is filled.

    Attributes:
        text: names that are perhaps still to be separated.
        names: names, or numbers of a class list.
        numbers: a list of numbers: those of a class list, or one value per class.
        scores: value by name, for flags (0 and 1) and scores.
    """

    text: str = ""
    names: tuple[str | int, ...] = ()
    numbers: tuple[float, ...] = ()
    scores: tuple[tuple[str | int, float], ...] = ()


def read_cell(value: Any, known: frozenset[str] = frozenset()) -> Cell:
    """What a cell holds.

    Lists are read as JSON, Python, pandas and NumPy write them; dictionaries as flags or scores by name, or
    as objects that have a name among `NAME_KEYS`.

    Args:
        value: text of a CSV file, or a plain value.
        known: class names; text that equals one is that name.

    Raises:
        ValueError: the cell holds no labels; the message begins with its contents.
    """
    if value is None or value == "":
        return Cell()
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"{value!r:.60} holds a NUL character")
        text = value.strip()
        if text in known or not text.startswith(("[", "{", "(", "array(")):
            return Cell(text=text)
        value = _literal(text)
    try:
        return _read(value)
    except (OverflowError, RecursionError):
        raise ValueError(f"labels must be names, got {value!r:.60}") from None


def _read(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, str | int | float | list | tuple | set | dict):
        raise ValueError(f"labels must be names, got {value!r:.60}")
    if isinstance(value, str):
        return Cell(names=(value.strip(),) if value.strip() else ())
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"labels must be names, got {value!r:.60}")
    if isinstance(value, int | float):
        return Cell(names=(int(value),))
    if isinstance(value, dict):
        return _read_dictionary(value)
    return _read_list(sorted(value, key=str) if isinstance(value, set) else value)


def _read_list(items: Sequence[Any]) -> Cell:
    if items and all(isinstance(item, int | float) for item in items):
        are_whole = all(float(item).is_integer() and not isinstance(item, bool) for item in items)
        if not are_whole and not all(0 <= item <= 1 for item in items):
            raise ValueError(f"labels must be names, got {list(items)!r:.60}")
        # Booleans and fractions are one value per class: they cannot be numbers of a list.
        return Cell(numbers=tuple(item if are_whole else float(item) for item in items))
    if _is_scored(items):
        return Cell(scores=((items[0], float(items[1])),))
    if any(item is None for item in items):
        raise ValueError(f"labels must be names, got {list(items)!r:.60}")
    names: list[str | int] = []
    scores: list[tuple[str | int, float]] = []
    for cell in map(_read, items):
        names += [*cell.names, *(int(number) for number in cell.numbers)]
        scores += cell.scores
    if names and scores:
        scores = [*((name, 1.0) for name in names), *scores]
    return Cell(scores=tuple(scores)) if scores else Cell(names=tuple(names))


def _is_scored(items: Sequence[Any]) -> bool:
    """Whether a list is a name and its score."""
    return (
        len(items) == 2
        and isinstance(items[0], str)
        and isinstance(items[1], float)
        and not isinstance(items[1], bool)
    )


def _read_dictionary(value: Mapping[str, Any]) -> Cell:
    by_key = {str(key).lower().replace(" ", "_"): item for key, item in value.items()}
    key = next((name for name in NAME_KEYS if by_key.get(name) not in (None, "")), None)
    if key is not None and not isinstance(by_key[key], bool):
        cell = _read(by_key[key])
        score = next((by_key[name] for name in SCORE_KEYS if name in by_key), None)
        names = cell.names or tuple(int(number) for number in cell.numbers)
        if isinstance(score, int | float):
            return Cell(scores=tuple((name, float(score)) for name in names))
        if isinstance(score, list) and len(score) == len(names):
            return Cell(scores=tuple(zip(names, map(float, score), strict=True)))
        return cell
    if key is None and any(name in by_key for name in NAME_KEYS):
        return Cell()
    flags = {str(name).strip(): _flag(item) for name, item in value.items()}
    if any(flag is None for flag in flags.values()):
        raise ValueError(f"labels must be names, got {value!r:.60}")
    return Cell(scores=tuple((name, flag) for name, flag in flags.items() if flag is not None))


def _flag(value: Any) -> float | None:
    """A value of a dictionary as a number; None if it is no flag."""
    words = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0, "": 0.0}
    if isinstance(value, str):
        return words.get(value.strip().lower())
    if value is None:
        return 0.0
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def _literal(text: str) -> Any:
    """A list or dictionary that is written out; nothing is evaluated but literals."""
    fault = ValueError(f'{text!r:.60} is not a JSON list such as ["cat", "dog"]')
    if len(text) > LONGEST_LITERAL:
        raise fault
    try:
        return parse_json(text)
    except ValueError as error:
        if "lone escape" in str(error):
            raise fault from None
    array = re.fullmatch(r"array\((\[.*\])(?:,\s*dtype=[^)]*)?\)", text, re.DOTALL)
    text = array[1] if array else text
    if _NUMBERS.fullmatch(text):  # NumPy separates by blanks
        return [float(part) if "." in part else int(part) for part in text[1:-1].split()]
    if text[0] == "[" and text[-1] == "]":
        quoted = _QUOTED.findall(text)
        if quoted and "".join(quoted) == re.sub(r"(?<=['\"])\s+(?=['\"])", "", text[1:-1].strip()):
            return [ast.literal_eval(part) for part in quoted]
    if text[0] == "{" and text[-1] == "}" and not re.search(r"[:'\"{}]", text[1:-1]):  # PostgreSQL's arrays
        return [part.strip() for part in text[1:-1].split(",")]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise fault from None
