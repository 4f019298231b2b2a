"""CVAT's "Segmentation mask 1.1": a zip file like a VOC folder, with colours for classes and objects."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.datasets.containers import PNG_SIGNATURE
from swtformer.errors import some
from swtformer.exporters.archive import has_folder
from swtformer.exporters.base import IGNORED_IN_CVAT, ExchangeFormat, LabelledImage, image_bytes
from swtformer.exporters.fingerprints import FILE, fingerprint, fingerprints_text
from swtformer.exporters.label_map import (
    CLASS_FOLDER,
    IMAGE_FOLDER,
    LIST_FILE,
    MAP_FILE,
    OBJECT_FOLDER,
    label_map_text,
    read_class_masks,
)
from swtformer.exporters.objects import objects
from swtformer.exporters.reading import Correction, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import atomic_file
from swtformer.store.masks import voc_palette

MAX_OBJECTS = 255
"""Most objects that SegmentationObject can hold per image: it has the 256 colours of VOC, and 0 is no object.

CVAT refuses any other colour, and reads one colour in two classes as one object of one class.
"""


@EXPORTERS.register("cvat")
class CvatExporter(ExchangeFormat):
    """A zip file for CVAT's "Upload annotations", in which each object becomes a mask to edit."""

    suffix = ".zip"
    is_lossless = True
    expects = "a .zip file with SegmentationClass"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write RGB masks, as CVAT does; 255 is a label "ignored", which the CVAT task must have.

        If an image has more than `MAX_OBJECTS` connected parts, each class is one object, with a warning.
        """
        fingerprints: dict[str, str] = {}
        crowded: list[str] = []
        with_ignored = False
        label_map_text(classes, with_ignored=True)  # refuses names before work starts
        with atomic_file(out) as stream, zipfile.ZipFile(stream, "w") as archive:
            for item in images:
                labels = self.round_trip(item.labels, ignored=settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                numbers = _object_numbers(labels, settings)
                if numbers is None:
                    crowded.append(item.id)
                    numbers = labels  # each class is one object
                _add(archive, f"{CLASS_FOLDER}/{item.id}.png", _png(labels))
                _add(archive, f"{OBJECT_FOLDER}/{item.id}.png", _png(numbers))
                if settings.images == "copy" and item.image is not None:
                    _add(archive, f"{IMAGE_FOLDER}/{item.file_name}", image_bytes(item.image))
                fingerprints[item.id] = fingerprint(labels)
            _add(archive, LIST_FILE, "".join(f"{id}\n" for id in fingerprints).encode())
            _add(archive, MAP_FILE, label_map_text(classes, with_ignored=with_ignored).encode())
            _add(archive, FILE, fingerprints_text(fingerprints).encode())
        return _warnings(crowded=crowded, with_ignored=with_ignored)

    def recognises(self, path: Path) -> bool:
        """A zip file with SegmentationClass."""
        return path.is_file() and has_folder(path, CLASS_FOLDER)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks by the colours of labelmap.txt, those of the CVAT task; `path` may be a folder too."""
        return read_class_masks(path, reading)


def _object_numbers(labels: np.ndarray, settings: ExportSettings) -> np.ndarray | None:
    """(H, W) uint8 number of each pixel's object, from 1; None if there are too many."""
    numbers = np.zeros(labels.shape, dtype=np.uint8)
    for number, (_, region) in enumerate(objects(labels, settings.objects), start=1):
        if number > MAX_OBJECTS:
            return None
        numbers[region] = number
    return numbers


def _png(labels: np.ndarray) -> bytes:
    """An RGB PNG of labels in VOC's colours.

    Each row is stored as its difference from the one above, which leaves runs of zeros. Pillow would try all
    five filters of PNG on every row, which takes three times as long.
    """
    height, width = labels.shape
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    colours = np.asarray(image.convert("RGB")).reshape(height, 3 * width)
    rows = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    rows[:, 0] = 2  # the filter "up"
    rows[0, 1:] = colours[0]
    np.subtract(colours[1:], colours[:-1], out=rows[1:, 1:])
    deflate = zlib.compressobj(1, strategy=zlib.Z_RLE)
    pixels = deflate.compress(rows.tobytes()) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG: its length, kind, content and checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file with a fixed date, so that equal masks give equal archives."""
    archive.writestr(zipfile.ZipInfo(name), content)


def _warnings(*, crowded: Sequence[str], with_ignored: bool) -> list[str]:
    warnings = []
    if crowded:
        warnings.append(
            f"{len(crowded)} images have more than {MAX_OBJECTS} connected parts, more than this "
            f"format can number: {some(crowded)}. In these, all of a class is one object; no pixel is lost. "
            "To keep the parts apart, export with `format` coco and upload the file to CVAT as COCO 1.0."
        )
    if with_ignored:
        warnings.append(IGNORED_IN_CVAT)
    return warnings
