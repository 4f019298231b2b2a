"""Small pictures for the page: thumbnails, maps and masks laid over the photograph, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from swtformer.report.colours import map_colours
from swtformer.store.masks import voc_palette

TILE_PX = 320
"""Longest side of a picture on the page."""
TILE_BYTES = 15_000
"""Limit of one picture of that size; pictures of half the side have a quarter of it."""

_QUALITIES = (80, 65, 50)


def thumbnail(image: np.ndarray, *, side_px: int = TILE_PX) -> np.ndarray:
    """Scale a photograph down so that its longer side is at most `side_px`; small ones stay as they are.

    Args:
        image: (H, W, 3) uint8 RGB.
        side_px: limit of the longer side.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def map_overlay(photograph: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay one map over the greyed photograph: dim where the map is 0, bright and opaque where it is 1.

    Args:
        photograph: (h, w, 3) uint8 RGB.
        values: (k, l) map in [0, 1] of any size, scaled to the photograph.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = photograph.shape[:2]
    picture = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    scaled = np.asarray(picture).clip(0, 1)
    opacity = (0.3 + 0.5 * scaled)[..., None]
    return _blend(_grey(photograph), map_colours(scaled), opacity)


def mask_overlay(photograph: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Lay a label image over the greyed, lightened photograph in PASCAL VOC's colours, with an outline.

    VOC's first colours are dark, so the photograph is made light beneath them.

    Args:
        photograph: (h, w, 3) uint8 RGB.
        labels: (H, W) uint8 label image of any size, scaled to the photograph without mixing labels.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = photograph.shape[:2]
    small = np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
    opacity = np.where(small == 0, 0.0, 0.62)
    opacity[outline(small)] = 1.0
    return _blend(105 + 150 / 255 * _grey(photograph), voc_palette()[small], opacity[..., None])


def data_uri(picture: np.ndarray) -> str:
    """A WebP of the picture as a `data:` URI of bounded size.

    Quality 80. Only a picture so busy that it would exceed its part of `TILE_BYTES` gets a lower quality, and
    then fewer pixels, so that the page has a bounded size whatever the photographs show.

    Args:
        picture: (h, w, 3) uint8 RGB.
    """
    side = max(picture.shape[:2])
    limit = max(1_000, TILE_BYTES * side**2 // TILE_PX**2)
    while True:
        for quality in _QUALITIES:
            stream = io.BytesIO()
            Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=3)
            if stream.tell() <= limit:
                return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
        side //= 2
        picture = thumbnail(picture, side_px=side)


def _grey(photograph: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(photograph).convert("L").convert("RGB"), dtype=np.float64)


def _blend(below: np.ndarray, above: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = (1 - opacity) * below + opacity * above
    return mixed.round().astype(np.uint8)


def outline(labels: np.ndarray) -> np.ndarray:
    """Pixels of a class whose right or lower neighbour, or left or upper one, has another label."""
    differs = np.zeros(labels.shape, dtype=bool)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    differs[:, 1:] |= across
    differs[:, :-1] |= across
    differs[1:] |= down
    differs[:-1] |= down
    return np.asarray(differs & (labels != 0))
