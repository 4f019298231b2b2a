"""Label Studio: tasks as JSON with one brush region per object, and the labelling configuration beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from swtformer.datasets.rows import parse_json, read_text
from swtformer.errors import DataError
from swtformer.exporters.base import ExchangeFormat, LabelledImage, kept, require_free_names
from swtformer.exporters.brush_rle import decode_brush, encode_brush
from swtformer.exporters.objects import objects
from swtformer.exporters.outlines import fill
from swtformer.exporters.provenance import NOTES_KEY, Provenance, parsed_note
from swtformer.exporters.reading import (
    IGNORED_NAME,
    Canvas,
    Correction,
    Overlaps,
    Reading,
)
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings, Section
from swtformer.store.files import atomic_file, write_text
from swtformer.store.masks import voc_palette

FROM_NAME = "label"
TO_NAME = "image"
ID_KEY = "swtformer_id"
"""Field of a task's data that holds the record id: Label Studio renames files that are uploaded."""

REGION_TYPES = ("brushlabels", "polygonlabels")

_UPLOAD = re.compile(r"(?:^|/)upload/\d+/[0-9a-f]{8}-([^/]+)$")
"""Reference to an uploaded file: its folder is lost, and its name has a prefix."""


class LabelStudioSettings(Section):
    """Options of the Label Studio export."""

    image_prefix: str = "/data/local-files/?d="
    """What stands before the image's file name in a task; by default its local storage."""


@EXPORTERS.register("label-studio")
class LabelStudioExporter(ExchangeFormat):
    """Tasks with predictions for "Import"; corrections come back from "Export" as JSON."""

    settings_type = LabelStudioSettings
    suffix = ".json"
    is_lossless = True

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write tasks to `out`, and the labelling configuration to a file of the same name with .xml.

        The masks are predictions: Label Studio shows them, and makes an annotation when the user saves.
        """
        require_free_names(classes)
        with_ignored = False
        with atomic_file(out, "w") as stream:
            stream.write("[")
            for index, item in enumerate(images):
                labels = kept(item.labels, settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                stream.write(",\n" if index else "\n")
                task = _task(item, labels, classes, settings, image_prefix=self.options.image_prefix)
                json.dump(task, stream, ensure_ascii=False, separators=(",", ":"))
            stream.write("\n]\n")
        write_text(out.with_suffix(".xml"), configuration(classes, with_ignored=with_ignored))
        return []

    def recognises(self, path: Path) -> bool:
        """A .json file that holds a list."""
        if not path.is_file() or path.suffix.lower() != ".json":
            return False
        with path.open("rb") as stream:
            return stream.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks of the last annotation of each task that has one; brush strokes and polygons.

        Tasks without annotation, or with cancelled ones only, were not looked at and are passed over.
        """
        overlaps = Overlaps()
        for index, task in enumerate(_tasks(path)):
            source = f"{path}: task {index + 1}"
            annotation = _last_annotation(task, source)
            name = _image_name(task, source)
            if annotation is None or (id := reading.image(name, source)) is None:
                continue
            try:
                canvas = _paint(annotation, id, source, reading)
            except KeyError as error:
                reading.problems.fatal("region", f"{source} ({id}): a region lacks {error}.", id=id)
                continue
            except (ValueError, TypeError) as error:
                reading.problems.fatal("region", f"{source} ({id}): {error}.", id=id)
                continue
            if canvas is not None:
                overlaps.add(canvas)
                yield Correction(id, canvas.labels, source, _provenance(task, source))
        overlaps.warn(reading.problems, path)


def configuration(classes: Sequence[str], *, with_ignored: bool) -> str:
    """The labelling configuration that fits the tasks: paste it under "Labeling Interface", "Code"."""
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


def _task(
    item: LabelledImage,
    labels: np.ndarray,
    classes: Sequence[str],
    settings: ExportSettings,
    *,
    image_prefix: str,
) -> dict[str, Any]:
    height, width = item.size
    regions = [
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
    data: dict[str, Any] = {TO_NAME: image_prefix + quote(item.file_name), ID_KEY: item.id}
    if item.provenance is not None:
        data[NOTES_KEY] = asdict(item.provenance)
    return {"data": data, "predictions": [{"model_version": "swtformer", "result": regions}]}


def _tasks(path: Path) -> list[Any]:
    try:
        tasks = parse_json(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: is no whole JSON ({error}).") from None
    if not isinstance(tasks, list):
        raise DataError(f"{path}: expected Label Studio's JSON export, a list of tasks.")
    return tasks


def _last_annotation(task: Any, source: str) -> list[Any] | None:
    """The regions of the newest annotation that was not cancelled."""
    annotations = task.get("annotations", []) if isinstance(task, dict) else None
    if not isinstance(annotations, list) or not all(isinstance(item, dict) for item in annotations):
        raise DataError(f"{source}: expected a task with annotations; choose JSON, not JSON-MIN, on export.")
    valid = [item for item in annotations if not item.get("was_cancelled")]
    if not valid:
        return None
    newest = max(valid, key=lambda item: str(item.get("updated_at") or item.get("created_at") or ""))
    result = newest.get("result", [])
    if not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
        raise DataError(f"{source}: expected a list of regions in its annotation.")
    return result


def _provenance(task: Mapping[str, Any], source: str) -> Provenance | None:
    """What the export noted about a task's mask."""
    data = task.get("data")
    note = data.get(NOTES_KEY) if isinstance(data, dict) else None
    return None if note is None else parsed_note(note, f"{source}: data.{NOTES_KEY}")


def _image_name(task: Mapping[str, Any], source: str) -> str:
    """The record id where the task still has it, else what its image reference ends in."""
    data = task.get("data")
    data = data if isinstance(data, dict) else {}
    if isinstance(data.get(ID_KEY), str):
        return str(data[ID_KEY])
    reference = data.get(TO_NAME, next((value for value in data.values() if isinstance(value, str)), None))
    if not isinstance(reference, str):
        raise DataError(f"{source}: does not say which image it is about; expected data.{TO_NAME}.")
    url = urlsplit(reference)
    path = parse_qs(url.query).get("d", [unquote(url.path)])[0].lstrip("/")
    uploaded = _UPLOAD.search(path)
    return uploaded[1] if uploaded else path


def _paint(annotation: Sequence[Mapping[str, Any]], id: str, source: str, reading: Reading) -> Canvas | None:
    """Paint an annotation's regions; None where one of them has been noted as unusable.

    Raises:
        ValueError: a region is damaged or of a kind that has no pixels.
        KeyError, TypeError: a region lacks a field.
    """
    canvas = Canvas(reading.images[id].size)
    for region in annotation:
        kind, value = region.get("type"), region.get("value")
        if not isinstance(value, dict) or not str(kind).endswith("labels"):
            continue  # an answer about the image, a relation …
        if kind not in REGION_TYPES:
            raise ValueError(f"a region of type {kind!r} has no mask; expected {' or '.join(REGION_TYPES)}")
        if region.get("image_rotation"):
            raise ValueError("it is drawn on a rotated image; turn the image itself, or back")
        names = value.get(kind) or ["(no label)"]
        if len(names) != 1:
            raise ValueError(f"a region has the labels {names}; expected one")
        size = (region["original_height"], region["original_width"])
        label = reading.value(str(names[0]), source)
        if label is None or not reading.has_size(id, size, source):
            return None
        canvas.paint(_region(kind, value, size), label)
    return canvas


def _region(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    if kind == "brushlabels":
        return decode_brush(value["rle"], size)
    height, width = size  # points are percentages of it
    points = [(x * width / 100, y * height / 100) for x, y in value["points"]]
    return fill([[coordinate for point in points for coordinate in point]], size)
