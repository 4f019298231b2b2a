"""Image files made in memory, in every format that is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 60, 80

LOSSY = 6.0
"""Mean absolute error, in grey levels, that lossy formats stay below."""

ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 90}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-jpeg": ("TIFF", {"compression": "jpeg"}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
}
"""Format and options of Pillow for each way to store a picture."""


def draw_scene() -> np.ndarray:
    """A smooth picture without symmetry, (60, 80, 3) uint8."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns * 3, rows * 4, rows + columns], axis=-1).astype(np.uint8)


def encode(picture: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def write(folder: Path, data: bytes, name: str = "picture.jpg") -> Path:
    """A file of these bytes, by default called a JPEG whatever it holds."""
    path = folder / name
    path.write_bytes(data)
    return path


def distance(pixels: np.ndarray, expected: np.ndarray) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(pixels.astype(int) - expected.astype(int)).mean())
