"""CVAT's "CVAT for images 1.1": an XML file of shapes, of which polygons and masks have an area.

The run-length code of a mask counts the pixels outside and inside by turns, row by row in the mask's own box.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from swtformer.datasets.annotations.xml_files import Element, xml_elements
from swtformer.errors import DataError
from swtformer.exporters.base import IGNORED_IN_CVAT, ExchangeFormat, LabelledImage, require_free_names
from swtformer.exporters.coco_rle import decode_rle
from swtformer.exporters.documents import Document, documents, has_document
from swtformer.exporters.fingerprints import KEY, fingerprint
from swtformer.exporters.objects import box_of, objects
from swtformer.exporters.outlines import fill
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
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import atomic_file

_START = r"(<\?.*?\?>)?\s*(<!--.*?-->\s*)*<annotations[\s>]"

_OTHER_SHAPES = {"box": "a box", "polyline": "a line", "points": "a set of points", "ellipse": "an ellipse"}
"""What shapes without a mask are called; others by their tag."""

_Image = tuple[Element, Sequence[Element]]
"""An image and its shapes."""


@EXPORTERS.register("cvat-images")
class CvatImagesExporter(ExchangeFormat):
    """An XML file for CVAT's "Upload annotations", with as many objects per image as there are."""

    suffix = ".xml"
    is_lossless = True
    expects = "an .xml file of CVAT for images 1.1, or a folder or .zip file with one"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write a mask per object; 255 is a label "ignored", which the CVAT task must have."""
        require_free_names(classes)
        with_ignored = False
        with atomic_file(out, "w") as stream:
            stream.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            for number, item in enumerate(images):
                height, width = item.size
                labels = self.round_trip(item.labels, ignored=settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                image = {"id": number, "name": item.file_name, "width": width, "height": height}
                stream.write(f"  <image {_attributes(image | {KEY: fingerprint(labels)})}>\n")
                for value, region in objects(labels, settings.objects):
                    name = IGNORED_NAME if value == IGNORED else classes[value - 1]
                    stream.write(f"    <mask {_attributes({'label': name} | _code(region))}/>\n")
                stream.write("  </image>\n")
            stream.write("</annotations>\n")
        return [IGNORED_IN_CVAT] if with_ignored else []

    def recognises(self, path: Path) -> bool:
        """An XML file whose root is <annotations>, alone or in a folder or zip file."""
        return has_document(path, ".xml", _START)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks from polygons and run-length codes, painted in the order of their layers in CVAT (z_order).

        An image without shapes is all background.
        """
        with documents(path, ".xml", _START) as found:
            for document in found:
                yield from _read(document, reading)


def _attributes(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={quoteattr(str(value))}" for name, value in values.items())


def _code(region: np.ndarray) -> dict[str, object]:
    """The attributes of a mask that say where it is."""
    box = box_of(region)
    inner = region[box]
    changes = np.flatnonzero(np.diff(inner.ravel(), prepend=False))
    counts = np.diff(changes, prepend=0, append=inner.size).tolist()
    return {
        "source": "auto",
        "occluded": 0,
        "rle": ", ".join(map(str, counts)),
        "left": box[1].start,
        "top": box[0].start,
        "width": inner.shape[1],
        "height": inner.shape[0],
        "z_order": 0,
    }


def _read(document: Document, reading: Reading) -> Iterator[Correction]:
    where = document.source
    images = _images(document)
    shown = {_attribute(image, "name", where): image.attributes.get(KEY) for image, _ in images}
    reading.expect({name.rpartition(".")[0] for name, exported in shown.items() if exported is not None})
    labels = {shape.attributes.get("label", "") for _, shapes in images for shape in shapes}
    ignored: Ignored = "keep" if any(map(is_ignored, labels)) else "drop"
    contested = []
    for image, shapes in images:
        source = f"{where}:{image.line}"
        if (id := reading.image(image.attributes["name"], source)) is None:
            continue
        size = (_pixels(image, "height", where), _pixels(image, "width", where))
        if not reading.has_size(id, size, source):
            continue
        canvas = Canvas(id, reading)
        for shape in sorted(shapes, key=_layer):
            with canvas.region(at := f"{where}:{shape.line}"):
                region = _region(shape, canvas.size)
                canvas.paint(region, reading.value(shape.attributes["label"], at))
        contested.append(canvas.contested)
        yield from canvas.corrections(source, image.attributes.get(KEY), ignored)
    warn_of_overlaps(contested, reading.problems, where)


def _images(document: Document) -> list[_Image]:
    """The images of a file with their shapes.

    Raises:
        DataError: the file is damaged or holds a video.
    """
    found: list[_Image] = []
    shapes: list[Element] = []
    with document.opened() as stream:
        for element in xml_elements(stream, document.source):
            if element.path[1:2] == ("track",):
                raise DataError(
                    f"{document.source}:{element.line}: holds tracks of a video; export the task as CVAT for "
                    "images 1.1."
                )
            if element.path[1:2] != ("image",):
                continue
            if len(element.path) == 3 and element.path[2] != "tag":
                shapes.append(element)
            elif len(element.path) == 2:
                found.append((element, shapes))
                shapes = []
    return found


def _attribute(image: Element, name: str, where: str) -> str:
    """An attribute of an image.

    Raises:
        DataError: it is missing.
    """
    if name not in image.attributes:
        raise DataError(f"{where}:{image.line}: the image lacks its {name}.")
    return image.attributes[name]


def _pixels(image: Element, name: str, where: str) -> int:
    """Height or width of an image.

    Raises:
        DataError: it is missing or not a number.
    """
    text = _attribute(image, name, where)
    if not _is_number(text):
        raise DataError(
            f"{where}:{image.line}: expected a whole number as {name} of the image, got {text!r:.40}."
        )
    return int(text)


def _layer(shape: Element) -> int:
    order = shape.attributes.get("z_order", "")
    return int(order) if _is_number(order.removeprefix("-")) else 0


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _region(shape: Element, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool pixels of a shape.

    Raises:
        NoMaskError: it is neither a polygon nor a mask, or has no area.
        ValueError: it is damaged.
        KeyError: it lacks an attribute.
    """
    kind, values = shape.path[2], shape.attributes
    if kind == "polygon":
        points = values["points"].replace(";", ",").split(",")
        return fill([[float(coordinate) for coordinate in points if coordinate.strip()]], size)
    if kind != "mask":
        raise NoMaskError(_OTHER_SHAPES.get(kind, f"a region of type {kind!r}"))
    left, top, width, height = (int(values[name]) for name in ("left", "top", "width", "height"))
    if min(left, top) < 0 or width < 1 or height < 1 or left + width > size[1] or top + height > size[0]:
        raise ValueError(
            f"its box {width}×{height} at ({left}, {top}) is not in the {size[1]}×{size[0]} pixels"
        )
    region = np.zeros(size, dtype=bool)
    counts = [int(count) for count in values["rle"].split(",")]
    # Row by row is column by column of the transposed box.
    region[top : top + height, left : left + width] = decode_rle(counts, (width, height)).T
    return region
