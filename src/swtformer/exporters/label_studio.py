"""Label Studio: tasks as JSON with one brush region per object, and the labelling configuration beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from swtformer.errors import DataError
from swtformer.exporters.base import ExchangeFormat, LabelledImage, require_free_names
from swtformer.exporters.brush_rle import decode_brush, encode_brush
from swtformer.exporters.documents import Document, documents, has_document
from swtformer.exporters.fingerprints import KEY, fingerprint
from swtformer.exporters.objects import objects
from swtformer.exporters.outlines import fill
from swtformer.exporters.reading import (
    Canvas,
    Correction,
    NoMaskError,
    Reading,
    warn_of_overlaps,
)
from swtformer.label_values import IGNORED, IGNORED_NAME
from swtformer.settings import EXPORTERS, ExportSettings, Section
from swtformer.store.files import atomic_file, write_text
from swtformer.store.masks import voc_palette

FROM_NAME = "label"
TO_NAME = "image"
ID_KEY = "swtformer_id"
"""Field of a task's data that holds the record id: Label Studio renames uploaded files."""

REGION_TYPES = ("brushlabels", "polygonlabels")

OTHER_SHAPES = frozenset({"brush", "polygon", "rectangle", "ellipse", "keypoint", "vector", "bitmask"})
"""Types of regions that have no label. Other types that do not end in "labels" are answers and relations."""

_START = r"\[\s*[{\]]"

_UPLOAD = re.compile(r"(?:^|/)upload/\d+/[0-9a-f]{8}-([^/]+)$")
"""Reference to an uploaded file, which has lost its folder and whose name has a prefix."""


class LabelStudioSettings(Section):
    """Options of the Label Studio export."""

    image_prefix: str = "/data/local-files/?d="
    """Text in front of the image's file name in a task; by default the address of local storage."""


@EXPORTERS.register("label-studio")
class LabelStudioExporter(ExchangeFormat):
    """Tasks with predictions to import into Label Studio; corrected masks are exported there as JSON."""

    settings_type = LabelStudioSettings
    suffix = ".json"
    is_lossless = True
    expects = "a .json file with a list of tasks, or a folder or .zip file with one"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write tasks to `out`, and the labelling configuration to a file of the same name with .xml.

        The masks are predictions: Label Studio shows them, and makes an annotation when the user submits.
        """
        require_free_names(classes)
        with_ignored = False
        with atomic_file(out, "w") as stream:
            stream.write("[")
            for index, item in enumerate(images):
                labels = self.round_trip(item.labels, ignored=settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                stream.write(",\n" if index else "\n")
                task = {
                    "data": {
                        TO_NAME: self.options.image_prefix + quote(item.file_name),
                        ID_KEY: item.id,
                        KEY: fingerprint(labels),
                    },
                    "predictions": [
                        {"model_version": "swtformer", "result": _regions(labels, classes, settings)}
                    ],
                }
                # `json.dump` would not use the encoder in C.
                stream.write(json.dumps(task, ensure_ascii=False, separators=(",", ":")))
            stream.write("\n]\n")
        write_text(out.with_suffix(".xml"), configuration(classes, with_ignored=with_ignored))
        return []

    def recognises(self, path: Path) -> bool:
        """A .json file that holds a list, alone or in a folder or zip file."""
        return has_document(path, ".json", _START)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks of one annotation of each task (see `_chosen`), from brush strokes and polygons.

        A task without an annotation that was not cancelled is left out: nobody looked at it.
        """
        with documents(path, ".json", _START) as found:
            for document in found:
                yield from _read(document, reading)


def _read(document: Document, reading: Reading) -> Iterator[Correction]:
    contested = []
    for index, task in enumerate(_tasks(document)):
        source = f"{document.source}: task {index + 1}"
        annotation = _chosen(task, source)
        name = _image_name(task, source)
        if annotation is None or (id := reading.image(name, source)) is None:
            continue
        canvas = Canvas(id, reading)
        for region in annotation:
            with canvas.region(f"{source} ({id})"):
                _paint(region, source, canvas, reading)
        contested.append(canvas.contested)
        yield from canvas.corrections(source, _exported(task))
    warn_of_overlaps(contested, reading.problems, document.source)


def configuration(classes: Sequence[str], *, with_ignored: bool) -> str:
    """The labelling configuration for the tasks, to paste under "Labeling Interface", "Code"."""
    palette = voc_palette()
    labels = [(name, k + 1) for k, name in enumerate(classes)]
    labels += [(IGNORED_NAME, IGNORED)] if with_ignored else []
    lines = [
        f'    <Label value={quoteattr(name)} background="#{bytes(palette[value]).hex()}"/>'
        for name, value in labels
    ]
    head = f'<View>\n  <Image name="{TO_NAME}" value="${TO_NAME}" zoom="true"/>\n'
    brush = f'  <BrushLabels name="{FROM_NAME}" toName="{TO_NAME}">\n'
    return head + brush + "\n".join(lines) + "\n  </BrushLabels>\n</View>\n"


def _regions(labels: np.ndarray, classes: Sequence[str], settings: ExportSettings) -> list[dict[str, Any]]:
    height, width = labels.shape
    return [
        {
            "id": f"r{number}",
            "type": "brushlabels",
            "from_name": FROM_NAME,
            "to_name": TO_NAME,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": encode_brush(region),
                "brushlabels": [IGNORED_NAME if value == IGNORED else classes[value - 1]],
            },
        }
        for number, (value, region) in enumerate(objects(labels, settings.objects), start=1)
    ]


def _tasks(document: Document) -> list[Any]:
    tasks = document.json()
    if not isinstance(tasks, list):
        raise DataError(f"{document.source}: expected Label Studio's JSON export, a list of tasks.")
    return tasks


def _chosen(task: Any, source: str) -> list[Any] | None:
    """The regions of the annotation that counts: the newest that was not cancelled.

    Those marked as ground truth come before all others.
    """
    annotations = task.get("annotations", []) if isinstance(task, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise DataError(f"{source}: expected a task with annotations; choose JSON, not JSON-MIN, on export.")
    valid = [item for item in annotations if not item.get("was_cancelled")]
    valid = [item for item in valid if item.get("ground_truth")] or valid
    if not valid:
        return None
    newest = max(valid, key=lambda item: str(item.get("updated_at") or item.get("created_at") or ""))
    result = newest.get("result", [])
    if not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
        raise DataError(f"{source}: expected a list of regions in its annotation.")
    return result


def _data(task: Mapping[str, Any]) -> Mapping[str, Any]:
    data = task.get("data")
    return data if isinstance(data, dict) else {}


def _exported(task: Mapping[str, Any]) -> str | None:
    """Fingerprint of a task's mask as it was exported."""
    noted = _data(task).get(KEY)
    return noted if isinstance(noted, str) else None


def _image_name(task: Mapping[str, Any], source: str) -> str:
    """The record id if the task still has it, else the end of its image reference."""
    data = _data(task)
    if isinstance(data.get(ID_KEY), str):
        return str(data[ID_KEY])
    reference = data.get(TO_NAME, next((value for value in data.values() if isinstance(value, str)), None))
    if not isinstance(reference, str):
        raise DataError(f"{source}: does not say which image it is about; expected data.{TO_NAME}.")
    url = urlsplit(reference)
    path = parse_qs(url.query).get("d", [unquote(url.path)])[0].lstrip("/")
    uploaded = _UPLOAD.search(path)
    return uploaded[1] if uploaded else path


def _paint(region: Mapping[str, Any], source: str, canvas: Canvas, reading: Reading) -> None:
    """Paint a region.

    Raises:
        NoMaskError: it is of a kind without a mask, or has no label.
        ValueError: it is damaged.
        KeyError, TypeError: it lacks a field.
    """
    kind, value = str(region.get("type")), region.get("value")
    if not isinstance(value, dict) or not (kind.endswith("labels") or kind in OTHER_SHAPES):
        return  # an answer about the image, a relation …
    if kind not in REGION_TYPES:
        raise NoMaskError(f"a region of type {kind!r}")
    if region.get("image_rotation"):
        raise ValueError("it is drawn on a rotated image; undo the rotation, or rotate the file itself")
    names = value.get(kind) or ["(no label)"]
    if len(names) != 1:
        raise ValueError(f"a region has the labels {names}; expected one")
    size = (region["original_height"], region["original_width"])
    if canvas.has_size(size, source):
        canvas.paint(_pixels(kind, value, size), reading.value(str(names[0]), source))


def _pixels(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool pixels of a region."""
    if kind == "brushlabels":
        return decode_brush(value["rle"], size)
    height, width = size  # points are percentages of it
    points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
    return fill([[coordinate for point in points for coordinate in point]], size)
