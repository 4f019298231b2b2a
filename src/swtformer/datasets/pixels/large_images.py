"""TIFF scenes that do not fit into memory, read some rows at a time (extra `tiff`)."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from swtformer.datasets.pixels import tiff_pixels
from swtformer.datasets.pixels.opened_files import MAX_PIXELS, UnclearPixels, opened, refusing
from swtformer.datasets.pixels.tiff_directories import SIGNATURES, Directory, pages, read_directories
from swtformer.settings import ImageSettings, channels

PROBED_ROWS = 16
"""Rows by which a band that is tagged alpha is judged."""
WHOLE_BYTES = 2**29
"""Images whose values take no more are read whole."""


class LargeImage:
    """A page of a TIFF file as (H, W, C) uint8 pixels, of which a slice of rows is read when it is asked for.

    It has what arrays have: `shape`, and `image[start:stop]`. The orientation of EXIF is never applied.

    Attributes:
        path: the file.
        shape: (H, W, C).
        sampled: some rows from all over.
    """

    def __init__(self, path: Path, place: int, directory: Directory, settings: ImageSettings) -> None:
        """Open a page.

        Args:
            path: the file.
            place: of the page among all directories.
            directory: the page.
            settings: how it is read.
        """
        import tifffile

        self.path = path
        self._directory = directory
        self._settings = settings
        self._file: Any = tifffile.TiffFile(path)
        try:
            self._page: Any = self._file.pages[place]
            rows = directory.size[0]
            sample = [self._values(row, row + 1) for row in range(0, rows, max(1, rows // PROBED_ROWS))]
            self.sampled = tiff_pixels.seen_as(np.concatenate(sample), directory)
            self._is_transparent = self.sampled.alpha is not None
            self.sampled.chosen(settings.bands)  # refused before work starts
            self.shape: tuple[int, ...] = (*directory.size, channels(settings))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(rows, W, C) uint8.

        Raises:
            ImageError: these rows are damaged, or the settings do not say how to see them.
        """
        start, stop, _ = rows.indices(self._directory.size[0])
        with refusing(self.path):
            values = self._values(start, stop)
            stored = tiff_pixels.seen_as(values, self._directory, is_transparent=self._is_transparent)
            return stored.photograph(self._settings)

    def _values(self, start: int, stop: int) -> np.ndarray:
        """(rows, W, B) values from the strips or tiles that hold them."""
        page = self._page
        width, bands = self._directory.size[1], self._directory.bands
        values = np.zeros((stop - start, width, bands), page.dtype)
        length = page.tilelength if page.is_tiled else page.rowsperstrip
        across = -(-width // page.tilewidth) if page.is_tiled else 1
        down = -(-self._directory.size[0] // length)
        planes = 1 if self._directory.is_by_pixel else bands
        for plane in range(planes):
            for row in range(start // length, -(-stop // length)):
                for column in range(across):
                    self._add(values, (plane * down + row) * across + column, start, stop)
        return values

    def _add(self, values: np.ndarray, index: int, start: int, stop: int) -> None:
        """Copy the part of a segment that lies in the rows."""
        page = self._page
        count = page.databytecounts[index]
        if not count:  # GDAL leaves empty tiles out
            return
        handle = page.parent.filehandle
        offset, decode, tables = page.dataoffsets[index], page.decode, page.jpegtables  # which read the file
        handle.seek(offset)
        segment, place, shape = decode(handle.read(count), index, jpegtables=tables)
        if segment is None:
            return
        plane, _, top, left, _ = place
        _, rows, columns, _ = shape
        first, last = max(top, start), min(top + rows, stop)
        columns = min(columns, values.shape[1] - left)  # tiles at the edge are filled up
        part = segment[0, first - top : last - top, :columns]
        channels = slice(plane, plane + 1) if not self._directory.is_by_pixel else slice(None)
        values[first - start : last - start, left : left + columns, channels] = part


def open_large(path: Path, settings: ImageSettings) -> LargeImage | None:
    """Open a TIFF file that is too large to be read whole; None for all other files, damaged ones among them.

    Raises:
        ImageError: the file is large, and it needs the extra `tiff` or cannot be read.
    """
    with refusing(path):
        with opened(path, max_bytes=None) as stream:
            directory, place = _large_page(stream, settings)
        if directory is None:
            return None
        try:
            return LargeImage(path, place, directory, settings)
        except ModuleNotFoundError:
            height, width = directory.size
            raise UnclearPixels(
                f"has {width}×{height} pixels; scenes of this size need the extra `tiff`: "
                "pip install 'swtformer[tiff]'"
            ) from None


def _large_page(stream: IO[bytes], settings: ImageSettings) -> tuple[Directory | None, int]:
    """The page to read and its place among all directories, if it is large."""
    if stream.read(4) not in SIGNATURES:
        return None, 0
    try:
        directories = read_directories(stream)
    except ValueError:  # is told where it is read
        return None, 0
    found = pages(directories)
    page = found[min(settings.page or 1, len(found)) - 1]
    height, width = page.size
    values = height * width * page.bands
    if height * width <= MAX_PIXELS and values * max(1, page.bits // 8) <= WHOLE_BYTES:
        return None, 0
    return page, next(place for place, each in enumerate(directories) if each is page)
