"""The contract of an exchange format: masks go out with `write` and come back, corrected, with `read`."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from swtformer.datasets.assemble import BACKGROUND_NAMES
from swtformer.errors import ImageError, SwtformerError
from swtformer.exporters.provenance import Ignored, Provenance
from swtformer.exporters.reading import IGNORED_NAME, Correction, Reading
from swtformer.label_values import IGNORED
from swtformer.settings import ExportSettings, NoSettings, Section


@dataclass(frozen=True)
class LabelledImage:
    """An image and its mask on their way out.

    Attributes:
        id: record id, a relative POSIX path that stays in its folder.
        file_name: name of the image file relative to the images' folder: the id and an extension.
        image: the image file; None where no data set was named.
        labels: (H, W) uint8; 0 background, k+1 for class index k, 255 ignored.
        provenance: what to note about it in the export; None where nothing is.
    """

    id: str
    file_name: str
    image: Path | None
    labels: np.ndarray
    provenance: Provenance | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.labels.shape
        return height, width


class Exporter(ABC):
    """A format that masks are exported in. One that also comes back is an `ExchangeFormat`.

    Attributes:
        name: the name that it was registered under.
        settings_type: the format's own options: section `exporter` of the settings.
        suffix: ending of the file that it writes; empty where it writes a folder.
        options: an instance of `settings_type`.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Section]] = NoSettings
    suffix: ClassVar[str]

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
        """Write masks; `out` appears only when all of it is there.

        Args:
            images: taken one by one, and not kept.
            out: file that ends in `suffix`, or folder. A file is replaced; a folder must be new or empty.
            classes: class names in the order of the mask values 1, 2, …
            settings: what the user chose.

        Returns:
            Warnings: what the format could not hold, with counts.

        Raises:
            SwtformerError: `out` cannot be written, an image cannot be copied, or a class name cannot stand
                in this format.
        """


class ExchangeFormat(Exporter):
    """A format whose masks come back, corrected, by `swtformer import`.

    Attributes:
        is_lossless: whether `read` gives back every pixel that `write` took.
    """

    is_lossless: ClassVar[bool]

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether an existing file or folder looks like this format."""

    @abstractmethod
    def read(self, path: Path, reading: Reading) -> Iterator[Correction]:
        """Read masks of images that `reading` knows, one by one, with what the export noted about them.

        What is wrong with one image or label is noted in `reading`, and that image is passed over.

        Raises:
            DataError: the file as a whole cannot be used.
        """

    def as_it_returns(self, labels: np.ndarray, *, ignored: Ignored) -> np.ndarray:
        """What `read` gives of what `write` wrote of a mask, where nobody touched it.

        Args:
            labels: (H, W) uint8; 0 background, k+1 for class index k, 255 ignored.
            ignored: `ExportSettings.ignored` of the export.

        Returns:
            (H, W) uint8; in a format that is lossless, the labels themselves, but for 255 that was dropped.
        """
        return kept(labels, ignored)


def require_free_names(classes: Sequence[str]) -> None:
    """Refuse class names that mean background or ignored in every format with named labels.

    Raises:
        SwtformerError: naming the class.
    """
    for name in classes:
        if name.lower() in {IGNORED_NAME, *BACKGROUND_NAMES}:
            raise SwtformerError(
                f"The class name {name!r} stands for background or ignored pixels in exported files; rename "
                "it in the data set and the run's classes.json."
            )


def movable(folder: Path) -> Path:
    """The absolute path, without `.` and `..`, of a folder that is made beside its place and moved there.

    Raises:
        SwtformerError: it is the current folder or one around it, which cannot be moved under the user.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SwtformerError(f"{folder}: is the current folder or one around it; name a new folder.")
    return Path(os.path.abspath(folder))


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into, which takes its name when the block ends well.

    Raises:
        SwtformerError: `out` already holds something, is the current folder, or cannot be written.
    """
    out = movable(out)
    partial = out.with_name(f".{out.name}.partial")
    try:
        if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
            raise SwtformerError(f"{out}: already holds something; name a new folder or delete this one.")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.replace(out)
    except OSError as error:
        raise SwtformerError(f"{out}: cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_image(item: LabelledImage, folder: Path, settings: ExportSettings) -> None:
    """Copy an image's file under `folder`, where the settings ask for it and it is known.

    Raises:
        ImageError: the image cannot be read.
    """
    if settings.images == "copy" and item.image is not None:
        target = folder / item.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(image_bytes(item.image))


def image_bytes(image: Path) -> bytes:
    """Content of an image's file, to be handed on as it is.

    Raises:
        ImageError: it cannot be read; else the file that is written would be blamed.
    """
    try:
        return image.read_bytes()
    except OSError as error:
        raise ImageError(f"{image}: cannot be read: {error.strerror or error}.") from error


def kept(labels: np.ndarray, ignored: Ignored) -> np.ndarray:
    """The labels as `ExportSettings.ignored` wants them out: with "drop", 255 becomes background."""
    return np.where(labels == IGNORED, np.uint8(0), labels) if ignored == "drop" else labels
