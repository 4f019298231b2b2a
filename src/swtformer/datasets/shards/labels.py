"""The classes that a sample of a shard says are in its image."""

from __future__ import annotations

import re
from typing import Any

from swtformer.datasets.tables.label_cells import NAME_KEYS
from swtformer.errors import nearest


def present_in(labels: object, classes: tuple[str, ...]) -> tuple[int, ...] | None:
    """Class indices, sorted; empty for pure background.

    Args:
        labels: a number of a class from 0, its name, a list of these, or an object that has them under one of
            `NAME_KEYS`, such as {"labels": ["cat", "dog"]}. None, and an object without such a key, say
            nothing.
        classes: those of the model.

    Returns:
        None where nothing is said.

    Raises:
        ValueError: the labels are not of the model's classes.
    """
    if isinstance(labels, dict):
        labels = next((labels[key] for key in NAME_KEYS if labels.get(key) is not None), None)
    if labels is None:
        return None
    items = labels if isinstance(labels, list | tuple) else [labels]
    found = [_index(item, classes) for item in items]
    if len(set(found)) < len(found):
        raise ValueError(
            f"names a class twice, {labels!r:.60}; expected names or numbers of the classes that the image "
            "shows, not one value per class"
        )
    return tuple(sorted(found))


def _index(item: Any, classes: tuple[str, ...]) -> int:
    if isinstance(item, str):
        if item.strip() in classes:
            return classes.index(item.strip())
        raise ValueError(f"unknown class {item!r:.60}. {nearest(item, classes)}")
    if isinstance(item, bool) or not isinstance(item, int):
        raise ValueError(f"labels must be names or numbers of classes, got {item!r:.60}")
    if not 0 <= item < len(classes):
        raise ValueError(f"class number {item}; the model has the classes 0 to {len(classes) - 1}")
    return item


def of_text(text: str) -> list[str | int]:
    """Names or numbers that are separated by commas or line breaks, as in <key>.cls.

    Raises:
        ValueError: there are none.
    """
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not parts:
        raise ValueError("is empty; an image without classes has [] in its .json")
    return [int(part) if part.isascii() and part.isdigit() else part for part in parts]
