"""Fixtures that write tiny data sets, for the tests of several rooms."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_images() -> Callable[[Path, Iterable[str]], None]:
    """Writes a small image for each name below a folder, in a colour of its own."""

    def write(folder: Path, names: Iterable[str]) -> None:
        for name in names:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), tuple(zlib.crc32(name.encode()).to_bytes(4)[:3])).save(file)

    return write


@pytest.fixture
def write_mask() -> Callable[..., None]:
    """Writes a palette mask that holds the given values in its first pixels and background elsewhere."""

    def write(file: Path, *values: int, mode: str = "P") -> None:
        pixels = np.zeros((6, 8), dtype=np.uint8)
        pixels[0, : len(values)] = values
        mask = Image.fromarray(pixels)
        if mode == "P":
            mask.putpalette([channel for value in range(256) for channel in (value, value, value)])
        else:
            mask = mask.convert(mode)
        file.parent.mkdir(parents=True, exist_ok=True)
        mask.save(file)

    return write


@pytest.fixture
def photos(tmp_path, write_images):
    """A folder with images a.jpg to d.jpg in images/."""
    write_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    return tmp_path
