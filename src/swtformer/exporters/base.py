"""The contract of a format: `write` exports masks; if it has `read`, they can be imported again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from swtformer.datasets.background import is_background
from swtformer.errors import ImageError, SwtformerError
from swtformer.exporters.reading import Correction, Ignored, Reading, is_ignored
from swtformer.label_values import IGNORED
from swtformer.settings import ExportSettings, NoSettings, Section

IGNORED_IN_CVAT = (
    'Pixels with 255 are the label "ignored" in this file: add this label to the CVAT task, or export with '
    "export.ignored drop."
)
"""Warning of exports for CVAT, whose tasks have a fixed list of labels."""


@dataclass(frozen=True)
class LabelledImage:
    """An image and its mask, to be exported.

    Attributes:
        id: record id, a relative POSIX path without `..`.
        file_name: name of the image file relative to the images' folder: the id and an extension.
        image: the image file; None where no data set was named.
        labels: (H, W) uint8; 0 background, k+1 for class index k, 255 ignored.
    """

    id: str
    file_name: str
    image: Path | None
    labels: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.labels.shape
        return height, width


class Exporter(ABC):
    """A format that masks can be exported to. One that can be imported as well is an `ExchangeFormat`.

    Attributes:
        name: the name that it was registered under.
        settings_type: the format's own options: section `exporter` of the settings.
        suffix: ending of the file that it writes; empty where it writes a folder.
        options: an instance of `settings_type`.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    suffix: ClassVar[str] = ""

    def __init__(self, options: Section | None = None) -> None:
        self.options: Any = self.settings_type() if options is None else options

    @abstractmethod
    def write(
        self,
        images: Iterable[LabelledImage],
        out: Path,
        *,
        classes: Sequence[str],
        settings: ExportSettings,
    ) -> list[str]:
        """Write masks; `out` appears only when it is complete.

        Args:
            images: taken one by one and not kept.
            out: file that ends in `suffix`, or folder. A file is replaced; a folder must be new or empty.
            classes: class names in the order of the mask values 1, 2, …
            settings: options that all formats share.

        Returns:
            Warnings: what the format could not hold, with counts.

        Raises:
            SwtformerError: `out` cannot be written, an image cannot be copied, or the format cannot hold a
                class name.
        """


class ExchangeFormat(Exporter):
    """A format whose masks can be corrected in another tool and imported.

    `write` calls `require_free_names` first, and stores the `fingerprint` of each mask as it is written,
    which `read` gives back as `Correction.exported`.

    Attributes:
        is_lossless: whether `read` gives every pixel that `write` was given.
        expects: what it recognises, in words, for the message that nothing was recognised.
    """

    is_lossless: ClassVar[bool]
    expects: ClassVar[str]

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether an existing file or folder looks like this format."""

    @abstractmethod
    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Read the masks of images that `reading` knows, one by one.

        A problem with one image or label is noted in `reading`, and that image is left out.

        Raises:
            DataError: the file as a whole cannot be used.
        """

    def round_trip(self, labels: np.ndarray, *, ignored: Ignored) -> np.ndarray:
        """The mask that `read` gives if nobody changed what `write` wrote.

        Args:
            labels: (H, W) uint8; 0 background, k+1 for class index k, 255 ignored.
            ignored: `ExportSettings.ignored` of the export.

        Returns:
            (H, W) uint8. In a lossless format these are the labels, with 0 for 255 where that was dropped.
        """
        return np.where(labels == IGNORED, np.uint8(0), labels) if ignored == "drop" else labels


def require_free_names(classes: Sequence[str]) -> None:
    """Refuse class names that mean background or ignored in every format with named labels.

    Raises:
        SwtformerError: naming the class.
    """
    for name in classes:
        if is_background(name) or is_ignored(name):
            raise SwtformerError(
                f"The class name {name!r} means background or ignored pixels in exported files; rename it in "
                "the data set and the run's classes.json."
            )


def copy_image(item: LabelledImage, folder: Path, settings: ExportSettings) -> None:
    """Copy an image's file to a folder if the settings ask for it and the file is known.

    Raises:
        ImageError: the image cannot be read.
    """
    if settings.images == "copy" and item.image is not None:
        target = folder / item.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image_bytes(item.image))


def image_bytes(image: Path) -> bytes:
    """Content of an image file, unchanged.

    Raises:
        ImageError: it cannot be read. An OSError would be reported as a problem of the file being written.
    """
    try:
        return image.read_bytes()
    except OSError as error:
        raise ImageError(f"{image}: cannot be read: {error.strerror or error}.") from error
