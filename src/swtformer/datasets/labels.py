"""Declared class lists, and the rows that a table of labels becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swtformer.datasets.assemble import Classes
from swtformer.datasets.background import is_background
from swtformer.datasets.problems import Problems
from swtformer.datasets.rows import parse_json, read_lines, read_text
from swtformer.settings import DataSettings

CLASS_FILES = (
    "classes.txt",
    "classes.json",
    "class_names.txt",
    "class_names.json",
    "id2label.json",
    "label_map.json",
)
"""Files beside a data set that declare its classes, in the order in which they are looked for."""


@dataclass(frozen=True)
class LabelRow:
    """One image of a label table; `labels` is None if the table has no labels at all."""

    source: str
    name: str
    labels: tuple[str, ...] | None
    mask: str | None
    split: str | None
    group: str | None = None


@dataclass(frozen=True)
class LabelTable:
    """A label table.

    Attributes:
        rows: one for each image, in file order.
        names: class names that the table knows: its 0/1 columns in order, else the labels found, sorted.
        has_splits: whether it has a split column.
        declares_order: whether the order of `names` is the table's own (0/1 columns).
    """

    rows: tuple[LabelRow, ...]
    names: tuple[str, ...]
    has_splits: bool
    declares_order: bool


@dataclass(frozen=True)
class ClassList:
    """Classes that are declared beside a table or in the settings.

    Attributes:
        names: without background.
        by_number: name of each number; "" is background.
        where: the file, or words.
    """

    names: tuple[str, ...]
    by_number: Mapping[int, str]
    where: str


def declared_classes(folder: Path, settings: DataSettings, problems: Problems) -> tuple[str, ...] | None:
    """Class names in their declared order: the setting, else a class file in `folder`, else None.

    A leading "background" is left out: a mask's 0 is background in every set.
    """
    found = class_list(folder, settings, problems)
    return None if found is None else found.names


def class_list(folder: Path, settings: DataSettings, problems: Problems) -> ClassList | None:
    """As `declared_classes`, with the numbers of the classes.

    Numbers are those of the class file, where there is one, even if the settings name the classes.
    """
    if settings.classes is None:
        return next(
            (_read(folder / name, problems) for name in CLASS_FILES if (folder / name).is_file()), None
        )
    where = "classes of the settings"
    names = _checked_classes(settings.classes, where, problems)
    file = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    of_file = None if file is None else _read(file, Problems())
    if of_file is not None and set(names) <= set(of_file.names):
        return ClassList(names, of_file.by_number, of_file.where)
    return ClassList(names, _numbers(settings.classes), where)


def _read(path: Path, problems: Problems) -> ClassList:
    if path.suffix == ".txt":
        listed = [line for _, line in read_lines(path)]
        return ClassList(_checked_classes(listed, str(path), problems), _numbers(listed), str(path))
    try:
        value = parse_json(read_text(path))
    except ValueError as error:
        problems.fatal("class_file", f"{path}: is not JSON ({error}).")
        return ClassList((), {}, str(path))
    by_number = _json_names(value)
    if by_number is None:
        problems.fatal(
            "class_file",
            f'{path}: expected a list of names such as ["cat", "dog"], or a map such as {{"0": "cat"}}.',
        )
        return ClassList((), {}, str(path))
    names = [by_number[number] for number in sorted(by_number)]
    checked = _checked_classes(names, str(path), problems)
    return ClassList(checked, {number: _named(name) for number, name in by_number.items()}, str(path))


def _json_names(value: Any) -> dict[int, str] | None:
    """Names by number of a list, of a map in either direction, or of a list of id and name; else None."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict(enumerate(value))
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        pairs = [(item.get("id"), item.get("name")) for item in value]
    elif isinstance(value, dict):
        pairs = [(number, name) for number, name in value.items()]
        if all(isinstance(number, int) for number in value.values()):
            pairs = [(number, name) for name, number in pairs]
    else:
        return None
    found = {}
    for number, name in pairs:
        try:
            found[int(number)] = name
        except (TypeError, ValueError):
            return None
    return (
        found if len(found) == len(pairs) and all(isinstance(name, str) for name in found.values()) else None
    )


def _named(name: str) -> str:
    """A name of a class list; "" for background."""
    return "" if is_background(name) else name.strip()


def _numbers(names: Sequence[str]) -> dict[int, str]:
    return {number: _named(name) for number, name in enumerate(names)}


def _checked_classes(names: Sequence[str], where: str, problems: Problems) -> tuple[str, ...]:
    cleaned = [name.strip() for name in names]
    if cleaned and is_background(cleaned[0]):
        cleaned = cleaned[1:]
    for name in dict.fromkeys(cleaned):
        if not name:
            problems.fatal("class_file", f"{where}: holds an empty class name.")
        elif is_background(name):
            problems.fatal(
                "class_file", f"{where}: {name!r} cannot be a class; background is always the value 0."
            )
        elif cleaned.count(name) > 1:
            problems.fatal("class_file", f"{where}: names the class {name!r} twice.")
    if not cleaned:
        problems.fatal("class_file", f"{where}: names no class.")
    return tuple(cleaned)


def classes_of(table: LabelTable, declared: tuple[str, ...] | None) -> Classes:
    """The declared classes, or those that the whole table knows, whatever the split."""
    if declared is not None:
        return Classes(declared, declared=True)
    return Classes(table.names, declared=table.declares_order)
