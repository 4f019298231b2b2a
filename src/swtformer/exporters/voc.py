"""PASCAL VOC's folders: palette masks in SegmentationClass, a list of ids, labelmap.txt and classes.txt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from swtformer.exporters.archive import has_folder
from swtformer.exporters.base import ExchangeFormat, LabelledImage, copy_image
from swtformer.exporters.fingerprints import FILE, fingerprint, fingerprints_text
from swtformer.exporters.label_map import (
    CLASS_FOLDER,
    IMAGE_FOLDER,
    LIST_FILE,
    MAP_FILE,
    label_map_text,
    read_class_masks,
)
from swtformer.exporters.reading import Correction, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import EXPORTERS, ExportSettings
from swtformer.store.files import new_folder, write_text
from swtformer.store.masks import write_mask


@EXPORTERS.register("voc")
class VocExporter(ExchangeFormat):
    """A folder like PASCAL VOC's; `swtformer train` reads it too if it holds JPEGImages."""

    suffix = ""
    is_lossless = True
    expects = "a folder with SegmentationClass"

    def write(
        self, images: Iterable[LabelledImage], out: Path, *, classes: Sequence[str], settings: ExportSettings
    ) -> list[str]:
        """Write label values as palette PNGs in VOC's colours; 255 is VOC's own "ignored"."""
        fingerprints: dict[str, str] = {}
        with_ignored = False
        label_map_text(classes, with_ignored=True)  # refuses names before work starts
        with new_folder(out) as folder:
            for item in images:
                labels = self.round_trip(item.labels, ignored=settings.ignored)
                with_ignored = with_ignored or bool(np.any(labels == IGNORED))
                write_mask(folder / CLASS_FOLDER / f"{item.id}.png", labels)
                copy_image(item, folder / IMAGE_FOLDER, settings)
                fingerprints[item.id] = fingerprint(labels)
            write_text(folder / LIST_FILE, "".join(f"{id}\n" for id in fingerprints))
            write_text(folder / MAP_FILE, label_map_text(classes, with_ignored=with_ignored))
            write_text(folder / "classes.txt", "".join(f"{name}\n" for name in classes))
            write_text(folder / FILE, fingerprints_text(fingerprints))
        return []

    def recognises(self, path: Path) -> bool:
        """A folder with SegmentationClass."""
        return path.is_dir() and has_folder(path, CLASS_FOLDER)

    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Masks by the colours of labelmap.txt, or by VOC's without one; `path` may be a zip file too."""
        return read_class_masks(path, reading)
