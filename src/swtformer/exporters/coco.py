"""COCO's annotation JSON with run-length masks or polygons.

Value 255 is a category, "ignored" with id 255, that is listed only if the masks hold it. COCO has no ignored
regions without a class, so its annotations are marked iscrowd and ignore: tools do not train on those.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pycocotools import mask as coco_mask

from swtformer.datasets.annotations.coco_categories import as_id
from swtformer.errors import DataError
from swtformer.exporters.base import ExchangeFormat, LabelledImage, require_free_names
from swtformer.exporters.coco_rle import decode_rle
from swtformer.exporters.documents import Document, documents, has_document
from swtformer.exporters.fingerprints import KEY, fingerprint, parsed_fingerprints
from swtformer.exporters.objects import objects
from swtformer.exporters.outlines import LEAST_POINTS, fill, polygons
from swtformer.exporters.reading import (
    Canvas,
    Correction,
    Ignored,
    NoMaskError,
    Reading,
    is_ignored,
    warn_of_overlaps,
)
from swtformer.label_values import IGNORED, IGNORED_NAME
from swtformer.settings import EXPORTERS, ExportSettings, Section
from swtformer.store.files import write_text

LISTS = ("images", "annotations", "categories")

_START = r'\{.*"(licenses|images|annotations)"\s*:'
"""A JSON object with one of COCO's fields near its beginning."""


class CocoSettings(Section):
    """Options of the COCO export."""

    segmentation: Literal["rle", "polygon"] = "rle"
    """How a mask is written: as a run-length code, or as polygons, where a cut of no width opens each hole.
    Both keep every pixel."""


@EXPORTERS.register("coco")
class CocoExporter(ExchangeFormat):
    """One JSON file; images are named relative to their folder.

    An import also takes a folder or zip file that holds such files, as CVAT and Roboflow export them.
    """

    settings_type = CocoSettings
    suffix = ".json"
    is_lossless = True
    expects = "a .json file with COCO's lists, or a folder or .zip file with one"

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
                annotation = _annotation(len(annotations) + 1, image_id, value, region)
                if self.options.segmentation == "polygon":
                    annotation["segmentation"] = [line.ravel().tolist() for line in polygons(region)]
                annotations.append(annotation)
            fingerprints[item.id] = fingerprint(labels)
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(classes)]
        if any(item["category_id"] == IGNORED for item in annotations):
            categories.append({"id": IGNORED, "name": IGNORED_NAME})
        about = "Masks of swtformer; category ids are mask values."
        content = {
            "images": listed,
            "annotations": annotations,
            "categories": categories,
            "info": {"description": about, KEY: fingerprints},
        }
        write_text(out, json.dumps(content, ensure_ascii=False) + "\n")
        return []

    def recognises(self, path: Path) -> bool:
        """A .json file that holds an object, or one with COCO's fields in a folder or zip file."""
        return has_document(path, ".json", r"\{" if path.suffix.lower() == ".json" else _START)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks of all images in the file, from run-length codes and polygons; iscrowd makes no difference.

        An image without annotations is all background. Of several files in a folder or zip file, those called
        ``instances_*.json`` are read if there are any, else all.
        """
        with documents(path, ".json", _START) as found:
            instances = [item for item in found if "instances_" in item.name.rpartition("/")[2]]
            for document in instances or found:
                yield from _read(document, reading)


def _read(document: Document, reading: Reading) -> Iterator[Correction]:
    where = document.source
    content, exported = _content(document)
    reading.expect(exported)
    names = _categories(content["categories"], where, reading)
    ignored: Ignored = "keep" if any(is_ignored(name) for name, _ in names.values()) else "drop"
    regions = _by_image(content["annotations"], where)
    contested = []
    ids = {as_id(image.get("id")) for image in content["images"] if isinstance(image, dict)}
    if orphans := sum(len(found) for id, found in regions.items() if id not in ids):
        reading.problems.warn("orphan", f"{where}: {orphans} annotations belong to no image of the file.")
    for index, image in enumerate(content["images"]):
        source = f"{where}: images[{index}]"
        if not _has(image, "file_name"):
            raise DataError(f"{source}: needs an id and a file_name, got {image!r:.80}.")
        if (id := reading.image(image["file_name"], source, original=_original_name(image))) is None:
            continue
        size = (image.get("height"), image.get("width"))
        if not reading.has_size(id, size, f"{source} ({image['file_name']})"):
            continue
        canvas = Canvas(id, reading)
        for place, annotation in regions.get(as_id(image["id"]), ()):
            _paint(annotation, f"{where}: annotations[{place}]", names, canvas, reading)
        contested.append(canvas.contested)
        yield from canvas.corrections(source, exported.get(id), ignored)
    warn_of_overlaps(contested, reading.problems, where)


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


def _content(document: Document) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The lists, and the fingerprints of the exported masks by image id."""
    content = document.json()
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in LISTS):
        raise DataError(f"{document.source}: is not a COCO file; expected the lists {', '.join(LISTS)}.")
    about = content.get("info")
    exported = about.get(KEY) if isinstance(about, dict) else None
    return {key: content[key] for key in LISTS}, parsed_fingerprints(
        exported, f"{document.source}: info.{KEY}"
    )


def _categories(categories: Sequence[Any], where: str, reading: Reading) -> dict[Any, tuple[str, str]]:
    """Name and position of each category by id; a name matters only if an annotation uses it.

    Id 0 is background where it is not listed, or where it is listed beside all classes of the run.
    """
    names = {}
    for index, category in enumerate(categories):
        source = f"{where}: categories[{index}]"
        if not _has(category, "name"):
            raise DataError(f"{source}: needs an id and a name, got {category!r:.80}.")
        names[as_id(category["id"])] = (category["name"], source)
    others = {name.strip() for id, (name, _) in names.items() if id != 0}
    if 0 not in names or (names[0][0] not in reading.classes and others.issuperset(reading.classes)):
        names[0] = ("background", f"{where}: categories")
    return names


def _original_name(image: Mapping[str, Any]) -> str | None:
    """The name that an image had before Roboflow renamed it."""
    extra = image.get("extra")
    name = extra.get("name") if isinstance(extra, dict) else None
    return name if isinstance(name, str) else None


def _has(item: Any, key: str) -> bool:
    """Whether an item of a list has an id, and text in a field."""
    return isinstance(item, dict) and isinstance(item.get(key), str) and as_id(item.get("id")) is not None


def _by_image(annotations: Sequence[Any], where: str) -> dict[Any, list[tuple[int, Mapping[str, Any]]]]:
    """Annotations with their positions, by image id."""
    found: dict[Any, list[tuple[int, Mapping[str, Any]]]] = defaultdict(list)
    for index, annotation in enumerate(annotations):
        id = as_id(annotation.get("image_id")) if isinstance(annotation, dict) else None
        if id is None:
            raise DataError(f"{where}: annotations[{index}]: needs an image_id, got {annotation!r:.80}.")
        found[id].append((index, annotation))
    return found


def _paint(
    annotation: Mapping[str, Any],
    source: str,
    names: Mapping[Any, tuple[str, str]],
    canvas: Canvas,
    reading: Reading,
) -> None:
    """Paint one annotation; what is wrong with it is noted."""
    with canvas.region(source):
        category = as_id(annotation.get("category_id"))
        if category not in names:
            raise ValueError(f"category_id {annotation.get('category_id')!r:.40} is not in categories")
        segmentation = annotation.get("segmentation")
        if not segmentation:
            raise NoMaskError(
                "a set of keypoints" if annotation.get("keypoints") else "a box without a segmentation"
            )
        if isinstance(segmentation, dict):
            region = _decoded(segmentation, canvas.size)
        elif not isinstance(segmentation, list) or not all(isinstance(shape, list) for shape in segmentation):
            raise ValueError(f"expected an RLE or a list of polygons, got {segmentation!r:.60}")
        else:
            shapes = [shape for shape in segmentation if len(shape) >= 2 * LEAST_POINTS]
            if len(shapes) < len(segmentation):
                canvas.pass_over(source, f"in part a polygon of fewer than {LEAST_POINTS} points")
            if not shapes:
                return
            region = fill(shapes, canvas.size)
        canvas.paint(region, reading.value(*names[category]))


def _decoded(code: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    if code.get("size") != list(size):
        raise ValueError(f"the RLE has the size {code.get('size')}, its image {list(size)} (height, width)")
    return decode_rle(code.get("counts"), size)
