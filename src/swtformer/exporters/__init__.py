"""Masks in other tools' formats, out and back: one plug-in per format, and the registry of them."""

from __future__ import annotations

from pathlib import Path

from swtformer.errors import DataError, SwtformerError, nearest
from swtformer.exporters.base import Exporter, LabelledImage
from swtformer.exporters.coco import CocoExporter
from swtformer.exporters.cvat import CvatExporter
from swtformer.exporters.label_studio import LabelStudioExporter
from swtformer.exporters.provenance import Provenance
from swtformer.exporters.reading import Correction, Known, Reading
from swtformer.exporters.voc import VocExporter
from swtformer.exporters.yolo import YoloExporter

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (CocoExporter(), VocExporter(), YoloExporter(), LabelStudioExporter(), CvatExporter())
}
"""Formats by name; a new one is one module and one entry here."""

__all__ = [
    "EXPORTERS",
    "Correction",
    "Exporter",
    "Known",
    "LabelledImage",
    "Provenance",
    "Reading",
    "exporter",
    "recognise",
]


def exporter(name: str) -> Exporter:
    """The format of a name.

    Raises:
        SwtformerError: there is none; the message gives the nearest one.
    """
    if name not in EXPORTERS:
        raise SwtformerError(f"Unknown format {name!r}. {nearest(name, EXPORTERS)}")
    return EXPORTERS[name]


def recognise(path: Path) -> Exporter:
    """The format of what lies at a path.

    Raises:
        DataError: nothing is there, or nothing that any format recognises.
    """
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: does not exist, or is neither a file nor a folder.")
    for format in EXPORTERS.values():
        if format.recognises(path):
            return format
    raise DataError(
        f"{path}: is in no format that comes back; expected COCO or Label Studio .json, or a folder or .zip "
        "with SegmentationClass (VOC, CVAT) or labels (YOLO). If it is one of these, name it by --format."
    )
