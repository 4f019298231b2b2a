"""Reads images in threads while earlier ones are processed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from swtformer.datasets.images import read_image
from swtformer.datasets.pixels.large_images import LargeImage, open_large
from swtformer.datasets.records import Record
from swtformer.errors import ImageError
from swtformer.in_order import work_ahead
from swtformer.settings import ImageSettings

T = TypeVar("T")


def read_ahead(
    records: Iterable[Record], settings: ImageSettings, *, threads: int
) -> Iterator[tuple[Record, np.ndarray | ImageError]]:
    """Yield every record in order with its (H, W, C) uint8 image, or with the reason why it cannot be read.

    Readings are thorough (see `read_image`), as a result is made of every image.

    Args:
        records: images to read.
        settings: as in `read_image`.
        threads: reading threads; 0 counts as 1.
    """
    return _ahead(records, lambda path: read_image(path, settings, thorough=True), threads)


def read_scenes_ahead(
    records: Iterable[Record], settings: ImageSettings, *, threads: int
) -> Iterator[tuple[Record, np.ndarray | LargeImage | ImageError]]:
    """The same, with scenes that are too large to be read whole opened alone."""
    return _ahead(records, lambda path: open_scene_or_read(path, settings), threads)


def open_scene_or_read(path: Path, settings: ImageSettings) -> np.ndarray | LargeImage:
    """A scene that is too large to be read whole, or the pixels of another image.

    Raises:
        ImageError: as for `read_image` and `open_large`.
    """
    scene = open_large(path, settings)
    return read_image(path, settings, thorough=True) if scene is None else scene


def _ahead(
    records: Iterable[Record], read: Callable[[Path], T], threads: int
) -> Iterator[tuple[Record, T | ImageError]]:
    def read_or_reason(record: Record) -> tuple[Record, T | ImageError]:
        try:
            return record, read(record.image)
        except ImageError as error:
            return record, error

    return work_ahead(read_or_reason, records, threads=threads)
