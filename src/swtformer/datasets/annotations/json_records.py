"""Records of JSON files: which key holds the image, which the labels, and what those say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from swtformer.datasets.tables import column_names
from swtformer.datasets.tables.column_names import find_columns, is_metadata, plain

PROBED = 50
"""Items that are looked at to tell what a key holds."""

_SURE = tuple(
    name for name in (*column_names.LABEL_COLUMNS, *column_names.NUMBER_COLUMNS) if name != "y"
)  # "x" and "y" may be classes
_USUAL = frozenset(
    {*_SURE, *column_names.IMAGE_COLUMNS, *column_names.MASK_COLUMNS, *column_names.SPLIT_COLUMNS}
)

IsImage = Callable[[str], bool]
"""Whether a name is that of an image of the data set."""


class NotLabelsError(Exception):
    """A JSON value does not say which labels images have; the message says why."""


@dataclass(frozen=True)
class Keys:
    """Keys that the user named: of the image, and of the labels."""

    image: str | None = None
    labels: tuple[str, ...] = ()


def most(names: Iterable[Any], is_image: IsImage) -> bool:
    """Whether more than half of the first names are images."""
    first = list(islice(names, PROBED))
    return 2 * sum(isinstance(name, str) and is_image(name) for name in first) > len(first)


def image_key(records: Sequence[Mapping[str, Any]], is_image: IsImage, keys: Keys) -> str | None:
    """The key that holds the images of records: the one named, else the surest whose values are images.

    Raises:
        NotLabelsError: there are several, and none has a usual name.
    """
    probed = records[:PROBED]
    names = dict.fromkeys(name for record in probed for name in record)
    if keys.image is not None:
        return keys.image if keys.image in names else None
    held = [
        name
        for name in names
        if most([record[name] for record in probed if record.get(name) is not None], is_image)
    ]
    usual = find_columns(held, column_names.IMAGE_COLUMNS)
    if len(held) > 1 and not usual:
        told = ", ".join(map(repr, held[:5]))
        raise NotLabelsError(f"{told} of its records hold images; name one with reader.image_column")
    return next(iter([*usual, *held]), None)


def label_keys(records: Sequence[Mapping[str, Any]], image: str, keys: Keys) -> list[str]:
    """Keys that hold labels: those named, else one with a usual name, else all with 0 and 1 alone.

    Raises:
        NotLabelsError: there is none, or it is in doubt which are.
    """
    columns = [name for name in dict.fromkeys(name for record in records for name in record) if name != image]
    there = ", ".join(map(repr, columns[:10])) or "images"
    if keys.labels:
        missing = [name for name in keys.labels if name not in columns]
        if missing:
            raise NotLabelsError(f"its records have no key {missing[0]!r}, only {there}")
        return list(keys.labels)
    named = usual_key(columns, records)
    flags = [name for name in columns if not _is_no_class(name) and _is_flag(records, name)]
    if named is not None and len(flags) > 1:
        told = ", ".join(map(repr, flags[:5]))
        raise NotLabelsError(
            f"its records have {named!r}, and 0 or 1 in {told}; name the labels with reader.label_columns"
        )
    if named is None and not flags:
        raise NotLabelsError(f"its records have no labels, only {there}; see reader.label_columns")
    return flags if named is None else [named]


def _is_no_class(name: str) -> bool:
    return is_metadata(name) or plain(name) in _USUAL


def _is_flag(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    values = [record[name] for record in records if record.get(name) is not None]
    return bool(values) and all(isinstance(value, int | float) and value in (0, 1) for value in values)


def usual_key(names: Iterable[str], records: Sequence[Mapping[str, Any]]) -> str | None:
    """The surest key for labels by its name; a key such as "defect" with 0 and 1 alone is a class."""
    names = list(names)
    less_sure = find_columns(names, (*column_names.LESS_SURE_LABELS, "y"))
    rest = [name for name in less_sure if not _is_flag(records, name)]
    return next(iter([*find_columns(names, _SURE), *rest]), None)


def value_of(record: Mapping[str, Any], labels: Sequence[str]) -> Any:
    """What the label keys of a record say: one value, a list of names, or a number for each class."""
    own = {key: record[key] for key in labels if record.get(key) is not None}
    if len(labels) == 1 and plain(labels[0]) in _SURE:
        return own.get(labels[0])
    if all(isinstance(value, int | float) for value in own.values()):
        return own or None
    return next(iter(own.values())) if len(own) == 1 else [value for value in own.values() if value != ""]
