"""Label images on disk: palette PNGs in the VOC colours, 0 background, k+1 for class index k, 255 unsure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.store.files import write_with


def voc_palette() -> np.ndarray:
    """The colours of PASCAL VOC: bit i of a label's base-8 digits becomes a high bit of red, green and blue.

    Returns:
        (256, 3) uint8 RGB; 0 is black, 255 nearly white.
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for digit in range(8):
        for channel in range(3):
            bit = labels >> (3 * digit + channel) & 1
            colours[:, channel] |= (bit << (7 - digit)).astype(np.uint8)
    return colours


def write_mask(path: Path, labels: np.ndarray) -> None:
    """Write a (H, W) uint8 label image atomically as palette PNG.

    Raises:
        SwtformerError: the file cannot be written.
    """
    image = Image.fromarray(labels)
    image.putpalette(voc_palette().tobytes())
    write_with(path, lambda stream: image.save(stream, format="PNG"))


def remove_other_masks(folder: Path, ids: Iterable[str]) -> None:
    """Remove the masks <id>.png of a folder whose id is not among these."""
    kept = {folder / f"{id}.png" for id in ids}
    for path in set(folder.rglob("*.png")) - kept:
        path.unlink()
