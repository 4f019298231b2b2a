"""CVAT's "Segmentation mask 1.1": a zip file of VOC's folders with coloured masks of classes and objects."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.exporters.base import ExchangeFormat, LabelledImage, image_bytes, kept
from swtformer.exporters.label_map import (
    CLASS_FOLDER,
    IMAGE_FOLDER,
    LIST_FILE,
    MAP_FILE,
    OBJECT_FOLDER,
    label_map_text,
    looks_like_class_masks,
    read_class_masks,
)
from swtformer.exporters.objects import objects
from swtformer.exporters.provenance import NOTES_FILE, Provenance, notes_text
from swtformer.exporters.reading import Correction, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import atomic_file
from swtformer.store.masks import voc_palette

MAX_OBJECTS = 255
"""Objects that SegmentationObject can tell apart in one image: it has the 256 colours of VOC, 0 for none.

CVAT refuses a file with any other colour, and takes one colour in two classes for one object of one class.
"""

SHOWN = 5
"""Ids that a warning names."""


@EXPORTERS.register("cvat")
class CvatExporter(ExchangeFormat):
    """A zip file for CVAT's "Upload annotations", in which each object becomes a mask to edit."""

    suffix = ".zip"
    is_lossless = True

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write RGB masks, as CVAT does; value 255 is a label "ignored", which the CVAT task must have.

        In an image of more than `MAX_OBJECTS` connected parts each class is one object, of which is warned.
        """
        palette = voc_palette()
        ids = []
        noted: dict[str, Provenance] = {}
        crowded: list[str] = []
        with_ignored = False
        label_map_text(classes, with_ignored=True)  # refuses names before work starts
        with atomic_file(out) as stream, zipfile.ZipFile(stream, "w") as archive:
            for item in images:
                labels = kept(item.labels, settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                numbers = _object_numbers(labels, settings)
                if numbers is None:
                    crowded.append(item.id)
                    numbers = labels  # each class is one object
                _add(archive, f"{CLASS_FOLDER}/{item.id}.png", _png(palette[labels]))
                _add(archive, f"{OBJECT_FOLDER}/{item.id}.png", _png(palette[numbers]))
                if settings.images == "copy" and item.image is not None:
                    _add(archive, f"{IMAGE_FOLDER}/{item.file_name}", image_bytes(item.image))
                ids.append(item.id)
                if item.provenance is not None:
                    noted[item.id] = item.provenance
            _add(archive, LIST_FILE, "".join(f"{id}\n" for id in ids).encode())
            _add(archive, MAP_FILE, label_map_text(classes, with_ignored=with_ignored).encode())
            if noted:
                _add(archive, NOTES_FILE, notes_text(noted).encode())
        return _warnings(crowded=crowded, with_ignored=with_ignored)

    def recognises(self, path: Path) -> bool:
        """A zip file with SegmentationClass."""
        return path.is_file() and looks_like_class_masks(path)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks by the colours of labelmap.txt, as the CVAT task has them; from a folder as well."""
        return read_class_masks(path, reading)


def _object_numbers(labels: np.ndarray, settings: ExportSettings) -> np.ndarray | None:
    """(H, W) uint8 number of each pixel's object, from 1; None where there are too many."""
    numbers = np.zeros(labels.shape, dtype=np.uint8)
    for number, (_, region) in enumerate(objects(labels, settings.objects), start=1):
        if number > MAX_OBJECTS:
            return None
        numbers[region] = number
    return numbers


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Store a member with a fixed date, so that equal masks give equal archives."""
    archive.writestr(zipfile.ZipInfo(name), content)


def _warnings(*, crowded: Sequence[str], with_ignored: bool) -> list[str]:
    warnings = []
    if crowded:
        listed = ", ".join(crowded[:SHOWN]) + (", …" if len(crowded) > SHOWN else "")
        warnings.append(
            f"{len(crowded)} images have more than {MAX_OBJECTS} connected parts, which this format cannot "
            f"tell apart: {listed}. There all of a class is one object; no pixel is lost. Where the parts "
            "must stay apart, export with --format coco and upload that to CVAT as COCO 1.0."
        )
    if with_ignored:
        warnings.append(
            'Pixels with 255 are the label "ignored" in this file: add a label of this name to the CVAT '
            "task, or leave them out by --export.ignored drop."
        )
    return warnings
