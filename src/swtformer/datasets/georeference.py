"""Where an image lies on the earth: the tags of a GeoTIFF, or the world file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swtformer.datasets.pixels.opened_files import opened
from swtformer.datasets.pixels.tiff_directories import GEOREFERENCE, SIGNATURES, pages, read_directories
from swtformer.errors import ImageError

MAX_SIDECAR_BYTES = 2**20


@dataclass(frozen=True)
class Georeference:
    """What places an image on the earth; empty where nothing does.

    Attributes:
        tags: tags of a GeoTIFF by their numbers.
        world: content of the world file: pixel size, rotation and the place of the first pixel.
        projection: content of the .prj file: the coordinate system.
    """

    tags: Mapping[int, Any] = field(default_factory=dict)
    world: bytes | None = None
    projection: bytes | None = None


def read_georeference(image: Path, *, page: int | None = None) -> Georeference:
    """The georeference of an image; damaged or missing files have none.

    Args:
        image: the image.
        page: of a TIFF file, counted from 1; None for the first.
    """
    world = next(filter(None, map(_content, _world_files(image))), None)
    projection = None if world is None else _content(image.with_suffix(".prj"))
    return Georeference(_tags(image, page or 1), world, projection)


def _tags(image: Path, page: int) -> dict[int, Any]:
    try:
        with opened(image, max_bytes=None) as stream:
            if stream.read(4) not in SIGNATURES:
                return {}
            found = pages(read_directories(stream))
            tags = found[min(page, len(found)) - 1].tags
    except (OSError, ValueError, ImageError):
        return {}
    return {tag: tags[tag] for tag in GEOREFERENCE if tag in tags}


def _world_files(image: Path) -> list[Path]:
    """Names that a world file may have: a.tfw, a.tifw or a.wld for a.tif."""
    ending = image.suffix[1:]
    endings = [f"{ending[:1]}{ending[-1:]}w", f"{ending}w", "wld"] if ending else ["wld"]
    return [image.with_suffix(f".{each}") for name in endings for each in (name, name.upper())]


def _content(path: Path) -> bytes | None:
    try:
        with opened(path, max_bytes=MAX_SIDECAR_BYTES) as stream:
            return stream.read()
    except (OSError, ImageError):
        return None
