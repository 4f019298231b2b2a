"""COCO's annotation JSON with run-length masks.

Value 255 is a category, "ignored" with id 255, that is listed only if the masks hold it. COCO has no ignored
regions without a class, so its annotations are marked iscrowd and ignore: tools do not train on those.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from swtformer.errors import DataError
from swtformer.exporters.base import ExchangeFormat, LabelledImage, require_free_names
from swtformer.exporters.coco_rle import decode_rle
from swtformer.exporters.fingerprints import KEY, fingerprint, parsed_fingerprints
from swtformer.exporters.objects import objects
from swtformer.exporters.outlines import fill
from swtformer.exporters.reading import (
    Canvas,
    Correction,
    Ignored,
    Reading,
    is_ignored,
    is_json,
    json_of,
    warn_of_overlaps,
)
from swtformer.label_values import IGNORED, IGNORED_NAME
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import write_text

LISTS = ("images", "annotations", "categories")


@EXPORTERS.register("coco")
class CocoExporter(ExchangeFormat):
    """One JSON file; images are named relative to their folder."""

    suffix = ".json"
    is_lossless = True
    expects = "a .json file with an object"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write one annotation per object; category ids are the mask values, image ids count from 1."""
        require_free_names(classes)
        listed: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        fingerprints: dict[str, str] = {}
        for image_id, item in enumerate(images, start=1):
            height, width = item.size
            labels = self.round_trip(item.labels, ignored=settings.ignored)
            listed.append({"id": image_id, "file_name": item.file_name, "width": width, "height": height})
            for value, region in objects(labels, settings.objects):
                annotations.append(_annotation(len(annotations) + 1, image_id, value, region))
            fingerprints[item.id] = fingerprint(labels)
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(classes)]
        if any(item["category_id"] == IGNORED for item in annotations):
            categories.append({"id": IGNORED, "name": IGNORED_NAME})
        about = "Masks of swtformer; category ids are mask values."
        content = {
            "info": {"description": about, KEY: fingerprints},
            "images": listed,
            "annotations": annotations,
            "categories": categories,
        }
        write_text(out, json.dumps(content, ensure_ascii=False) + "\n")
        return []

    def recognises(self, path: Path) -> bool:
        """A .json file that holds an object."""
        return is_json(path, b"{")

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks of all images in the file, from run-length codes and polygons; iscrowd makes no difference.

        An image without annotations is all background.
        """
        content, exported = _content(path)
        reading.expect(exported)
        names = _categories(content["categories"], path)
        ignored: Ignored = "keep" if any(is_ignored(name) for name, _ in names.values()) else "drop"
        regions = _by_image(content["annotations"], path)
        contested = []
        for index, image in enumerate(content["images"]):
            source = f"{path}: images[{index}]"
            if not _has(image, "file_name"):
                raise DataError(f"{source}: needs an id and a file_name, got {image!r:.80}.")
            if (id := reading.image(image["file_name"], source)) is None:
                continue
            size = (image.get("height"), image.get("width"))
            if not reading.has_size(id, size, f"{source} ({image['file_name']})"):
                continue
            canvas = _painted(regions[image["id"]], reading.images[id].size, names, path, reading)
            if canvas is not None:
                contested.append(canvas.contested)
                yield Correction(id, canvas.labels, source, exported.get(id), ignored)
        warn_of_overlaps(contested, reading.problems, path)


def _annotation(id: int, image_id: int, value: int, region: np.ndarray) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(region, dtype=np.uint8))
    annotation = {
        "id": id,
        "image_id": image_id,
        "category_id": value,
        "segmentation": {"size": list(region.shape), "counts": code["counts"].decode("ascii")},
        "area": int(coco_mask.area(code)),
        "bbox": [float(side) for side in coco_mask.toBbox(code)],
        "iscrowd": int(value == IGNORED),
    }
    return annotation | ({"ignore": 1} if value == IGNORED else {})


def _content(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The lists, and the fingerprints of the exported masks by image id."""
    content = json_of(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in LISTS):
        raise DataError(f"{path}: is not a COCO file; expected the lists {', '.join(LISTS)}.")
    about = content.get("info")
    exported = about.get(KEY) if isinstance(about, dict) else None
    return {key: content[key] for key in LISTS}, parsed_fingerprints(exported, f"{path}: info.{KEY}")


def _categories(categories: Sequence[Any], path: Path) -> dict[Any, tuple[str, str]]:
    """Name and position of each category by id; a name matters only if an annotation uses it."""
    names = {}
    for index, category in enumerate(categories):
        source = f"{path}: categories[{index}]"
        if not _has(category, "name"):
            raise DataError(f"{source}: needs an id and a name, got {category!r:.80}.")
        names[category["id"]] = (category["name"], source)
    return names


def _has(item: Any, key: str) -> bool:
    """Whether an item of a list has an id, and text in a field."""
    return isinstance(item, dict) and isinstance(item.get(key), str) and isinstance(item.get("id"), int | str)


def _by_image(annotations: Sequence[Any], path: Path) -> dict[Any, list[tuple[int, Mapping[str, Any]]]]:
    """Annotations with their positions, by image id."""
    found: dict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for index, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or not isinstance(annotation.get("image_id"), int | str):
            raise DataError(f"{path}: annotations[{index}]: needs an image_id, got {annotation!r:.80}.")
        found[annotation["image_id"]].append((index, annotation))
    return found


def _painted(
    annotations: Sequence[tuple[int, Mapping[str, Any]]],
    size: tuple[int, int],
    names: Mapping[Any, tuple[str, str]],
    path: Path,
    reading: Reading,
) -> Canvas | None:
    """Paint an image's annotations in the order of the file; None if one cannot be used, which is noted."""
    canvas = Canvas(size)
    for index, annotation in annotations:
        source = f"{path}: annotations[{index}]"
        category = annotation.get("category_id")
        if not isinstance(category, int | str) or category not in names:
            reading.problems.fatal("category", f"{source}: category_id {category!r} is not in categories.")
            return None
        value = reading.value(*names[category])
        if value is None:
            return None
        try:
            region = _region(annotation.get("segmentation"), size)
        except (ValueError, TypeError) as error:
            reading.problems.fatal("segmentation", f"{source}: {error}.")
            return None
        canvas.paint(region, value)
    return canvas


def _region(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, dict):
        if segmentation.get("size") != list(size):
            raise ValueError(
                f"the RLE has the size {segmentation.get('size')}, its image {list(size)} (height, width)"
            )
        return decode_rle(segmentation.get("counts"), size)
    if isinstance(segmentation, list) and segmentation:
        return fill(segmentation, size)
    raise ValueError("it has no segmentation, only a box")
