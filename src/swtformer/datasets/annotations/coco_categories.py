"""Ids of a COCO file, and its categories as classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swtformer.datasets.annotations.json_files import shown
from swtformer.datasets.background import is_background, warn_of_background
from swtformer.datasets.problems import Problems
from swtformer.label_values import IGNORED_NAME

Id = int | str


def as_id(value: Any) -> Id | None:
    """An id in the one form that all ways of writing it have: 7, 7.0 and "7" are equal.

    Returns:
        None where the value is no id.
    """
    if type(value) is int:  # nearly all ids; True and False are none
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("-")
        is_number = digits.isdecimal() and digits.isascii() and len(digits) < 19
        # "007" stays text: it may stand beside "7".
        return int(text) if is_number and str(int(text)) == text else text or None
    return None


def named_by_user(
    used: set[Any], names: Sequence[str] | None, file: Path, problems: Problems
) -> dict[Id, str | None]:
    """Declared names for the category ids of a file that names none, in the order of the ids."""
    ids = sorted(used, key=_by_number)
    if names is None or len(names) != len(ids):
        got = "" if names is None else f", not {len(names)}"
        problems.fatal(
            "coco_category",
            f"{file}: has no categories, so the names of its category ids {shown(ids)} are not known. Add "
            f'the list "categories", or name {len(ids)} classes in the order of the ids: data.classes{got}.',
        )
        return dict.fromkeys(ids)
    told = ", ".join(f"{id}={name}" for id, name in zip(ids, names, strict=True))
    problems.warn("coco_category", f"{file}: names no categories; data.classes does: {told}.")
    return dict(zip(ids, names, strict=True))


def _by_number(id: Id) -> tuple[bool, int]:
    """Sorts ids by their number; text keeps its order, behind."""
    return (isinstance(id, str), id if isinstance(id, int) else 0)


def read_categories(
    categories: Sequence[Any], used: set[Any], file: Path, problems: Problems
) -> dict[Id, str | None]:
    """Class name by category id, in the order of the ids; None where a category is no class."""
    named: dict[Id, str] = {}
    parents: dict[Id, str] = {}
    faults = []
    for index, category in enumerate(categories):
        source = f"{file}: categories[{index}]"
        id, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
        id, text = as_id(id), str(name).strip()
        if id is None or isinstance(name, bool) or not isinstance(name, str | int) or not text:
            faults.append(f"{source}: needs an id and a name, got {category!r:.80}.")
        elif id in named:
            faults.append(f"{source}: id {id!r} appears twice; give each category its own.")
        else:
            named[id] = text
            parents[id] = str(category.get("supercategory") or "none").strip()
    problems.fatal_once("coco_category", faults)
    where = f"{file}: categories"
    result: dict[Id, str | None] = dict(sorted(named.items(), key=lambda item: _by_number(item[0])))
    if (group := _group(named, parents, used)) is not None:
        problems.warn(
            "coco_group",
            f"{where}: {named[group]!r} only groups the others and has no object, so it is not a class.",
        )
        result[group] = None
    background = [id for id, name in result.items() if name is not None and is_background(name)]
    warn_of_background((named[id] for id in background), where, problems)
    ignored = [id for id, name in result.items() if name is not None and name.lower() == IGNORED_NAME]
    if ignored:
        problems.warn("coco_ignored", f"{where}: {named[ignored[0]]!r} means unsure, so it is not a class.")
    result.update(dict.fromkeys((*background, *ignored)))
    _warn_of_shared_names(result, parents, where, problems)
    return result


def _group(named: Mapping[Id, str], parents: Mapping[Id, str], used: set[Any]) -> Id | None:
    """The category without objects that all others name as their supercategory, as Roboflow writes one."""
    for id, name in named.items():
        others = [parents[other] for other in named if other != id]
        if id not in used and is_background(parents[id]) and others and set(others) == {name}:
            return id
    return None


def _warn_of_shared_names(
    classes: Mapping[Id, str | None], parents: Mapping[Id, str], where: str, problems: Problems
) -> None:
    """Categories of one name are one class."""
    by_name: dict[str, list[Id]] = defaultdict(list)
    for id, name in classes.items():
        if name is not None:
            by_name[name].append(id)
    for name, ids in by_name.items():
        if len(ids) > 1:
            told = ", ".join(f"{id} in {parents[id]!r}" for id in ids)
            problems.warn(
                "coco_shared_name",
                f"{where}: {len(ids)} are called {name!r} (ids {told}) and taken as one class; rename them "
                "to keep them apart.",
            )
