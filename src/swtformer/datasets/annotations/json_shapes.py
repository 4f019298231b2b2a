"""Shapes of JSON files that give labels of images, whatever made them: each becomes a list of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from swtformer.datasets.annotations.json_records import (
    PROBED,
    IsImage,
    Keys,
    NotLabelsError,
    image_key,
    label_keys,
    most,
    usual_key,
    value_of,
)
from swtformer.datasets.annotations.json_values import Item
from swtformer.datasets.rows import is_whole_number
from swtformer.datasets.tables.column_names import IMAGE_COLUMNS, find_columns
from swtformer.errors import some

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
CLASS_KEYS = ("classes", "class_names", "categories", "labels", "names", "label_names", "id2label")
"""Keys of a list of class names, or of names by number."""
NO_IMAGES = "it names no images with labels"


@dataclass(frozen=True)
class Shape:
    """What a JSON file says.

    Attributes:
        items: one for each image, in the order of the file.
        classes: names by number, where the file has a list of them.
        description: the shape in words.
    """

    items: tuple[Item, ...]
    classes: Mapping[int, str] | None
    description: str


def read_shape(value: Any, file: str, is_image: IsImage, keys: Keys) -> Shape:
    """Find out which of the known shapes a JSON value has.

    Args:
        value: the file.
        file: its name, for messages.
        is_image: tells names of images of the data set.
        keys: those that the user named.

    Raises:
        NotLabelsError: none of them.
    """
    if not isinstance(value, dict):
        listed, description = _items(value, file, is_image, keys)
        return Shape(listed, None, description)
    if value and all(key.lower() in SPLITS and isinstance(part, dict | list) for key, part in value.items()):
        shapes = {
            key: read_shape(part, f"{file}: {key}", is_image, keys) for key, part in value.items() if part
        }
        items = [replace(item, split=key) for key, shape in shapes.items() for item in shape.items]
        first = next(iter(shapes.values()), Shape((), None, "nothing"))
        return Shape(tuple(items), first.classes, f"splits, each {first.description}")
    classes = _class_names(value, is_image)
    try:
        found, description = _items(value, file, is_image, keys)
    except NotLabelsError as reason:
        found, description = _part(value, file, is_image, keys, reason)
    return Shape(found, classes, description)


def _part(
    value: Mapping[str, Any], file: str, is_image: IsImage, keys: Keys, reason: NotLabelsError
) -> tuple[tuple[Item, ...], str]:
    """Items of the only part of an object that has any, beside classes, information and the like."""
    found = []
    reasons = [reason]
    for key, part in value.items():
        try:
            items, description = _items(part, f"{file}: {key}", is_image, keys)
            found.append((items, f"{description} in {key!r}"))
        except NotLabelsError as other:
            reasons.append(other)
    if len(found) != 1:
        raise next((one for one in reasons if str(one) != NO_IMAGES), reason)
    return found[0]


def _class_names(value: Mapping[str, Any], is_image: IsImage) -> dict[int, str] | None:
    """Names by number that an object gives beside its labels."""
    for key in CLASS_KEYS:
        names = value.get(key)
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            if not any(map(is_image, names)):
                return dict(enumerate(names))
        elif isinstance(names, dict) and names:
            if all(is_whole_number(number) and isinstance(name, str) for number, name in names.items()):
                return {int(number): name for number, name in names.items()}
            if all(type(number) is int for number in names.values()) and not any(map(is_image, names)):
                return {number: name for name, number in names.items()}
    return None


def _items(value: Any, file: str, is_image: IsImage, keys: Keys) -> tuple[tuple[Item, ...], str]:
    """Items of a value that has one shape, and the shape in words.

    Raises:
        NotLabelsError: it has none of them.
    """
    if isinstance(value, list):
        return _of_list(value, file, is_image, keys)
    if not isinstance(value, dict) or not value:
        raise NotLabelsError(NO_IMAGES)
    if most(value, is_image):
        return _of_images(value, file, keys), "labels by image"
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas: split
        columns = [str(name) for name in value["columns"]]
        rows = [dict(zip(columns, row, strict=False)) for row in value["data"] if isinstance(row, list)]
        index = value.get("index")
        if isinstance(index, list) and len(index) == len(rows) and most(index, is_image):
            return _of_images(dict(zip(map(str, index), rows, strict=True)), file, keys), "rows by image"
        return _of_list(rows, file, is_image, keys)
    parts = list(value.values())
    if all(isinstance(part, dict) and part for part in parts):
        return _of_dictionaries(value, parts, file, is_image, keys)
    if all(isinstance(part, list) for part in parts):
        names = [name for part in parts for name in part]
        all_images = bool(names) and all(isinstance(name, str) for name in names) and most(names, is_image)
        has_columns = keys.image in value or bool(find_columns(value, IMAGE_COLUMNS))
        if all_images and not has_columns:
            return _of_classes(value, file), "images by class"
        if len(parts) > 1 and len({len(part) for part in parts}) == 1:
            rows = _rows(value, range(len(parts[0])))
            if image_key(rows, is_image, keys) is not None:
                return _of_list(rows, file, is_image, keys)
        if all_images:
            return _of_classes(value, file), "images by class"
    raise NotLabelsError(NO_IMAGES)


def _of_dictionaries(
    value: Mapping[str, Any], parts: Sequence[Any], file: str, is_image: IsImage, keys: Keys
) -> tuple[tuple[Item, ...], str]:
    """Items of a dictionary of dictionaries: records by number, or columns with an index (pandas)."""
    if all(_is_record(part, is_image, keys) for part in parts[:PROBED]):
        return _of_list(parts, file, is_image, keys)
    if most(parts[0], is_image):
        images = dict.fromkeys(name for column in parts for name in column)
        records = {
            name: {key: column[name] for key, column in value.items() if name in column} for name in images
        }
        return _of_images(records, file, keys), "columns by image"
    if len({tuple(part) for part in parts}) == 1:
        return _of_list(_rows(value, parts[0]), file, is_image, keys)
    raise NotLabelsError(NO_IMAGES)


def _of_images(value: Mapping[str, Any], file: str, keys: Keys) -> tuple[Item, ...]:
    """Items of labels by image; where those are records, their labels alone."""
    items = []
    for name, labels in value.items():
        if isinstance(labels, dict):
            usual = usual_key(labels, [labels])
            own = keys.labels or ([usual] if usual is not None else [])
            labels = value_of(labels, own) if own else labels
        items.append(Item(name, labels, f"{file}: {name!r:.80}"))
    return tuple(items)


def _of_classes(value: Mapping[str, Sequence[str]], file: str) -> tuple[Item, ...]:
    labels: dict[str, list[str]] = {}
    for label, names in value.items():
        for name in names:
            labels.setdefault(name, []).append(label)
    return tuple(Item(name, own, f"{file}: {own[0]}: {name!r:.80}") for name, own in labels.items())


def _of_list(values: Sequence[Any], file: str, is_image: IsImage, keys: Keys) -> tuple[tuple[Item, ...], str]:
    """Items of a list of records, or of pairs of image and labels."""
    if values and all(map(_is_pair, values)) and most((value[0] for value in values), is_image):
        pairs = (Item(name, labels, f"{file}[{index}]") for index, (name, labels) in enumerate(values))
        return tuple(pairs), "pairs of image and labels"
    if not values or not all(isinstance(value, dict) for value in values):
        raise NotLabelsError(NO_IMAGES)
    image = image_key(values, is_image, keys)
    if image is None:
        raise NotLabelsError("no key of its records holds the images")
    labels = label_keys(values, image, keys)
    split = next((name for record in values for name in record if name.lower() == "split"), None)
    items = []
    for index, record in enumerate(values):
        name = record.get(image)
        part = str(record[split]) if split is not None and record.get(split) else None
        own = value_of(record, labels)
        items.append(Item(name if isinstance(name, str) else "", own, f"{file}[{index}]", part))
    return tuple(items), f"{some(map(repr, labels))} of records with {image!r}"


def _is_record(value: Mapping[str, Any], is_image: IsImage, keys: Keys) -> bool:
    """Whether one key of a dictionary holds an image."""
    try:
        return image_key([value], is_image, keys) is not None
    except NotLabelsError:
        return False


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _rows(columns: Mapping[str, Any], index: Iterable[Any]) -> list[dict[str, Any]]:
    return [{name: column[k] for name, column in columns.items()} for k in index]
