"""Draws `shapes`: a data set for the demo and the tests, with exact masks and without a download.

Animals and flowers of very different size lie on textured grounds among clutter of no class. All classes
wear the same coats, so a classifier looks at the small vivid mark that sets a class apart, and its maps miss
much of the body.

The folder holds `images/`, `masks/` (palette label images: 0 background, k+1 for class index k), `labels.csv`
(`image,labels`, several labels separated by `;`, none for pure background) and `shapes.json` (classes, splits
as lists of image names without extension, and the arguments it was drawn with).
"""

from __future__ import annotations

import colorsys
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swtformer.datasets.figures import FIGURES
from swtformer.datasets.scenes import draw_scene
from swtformer.errors import DataError

CLASSES: tuple[str, ...] = tuple(FIGURES)
"""The classes that are drawn; a mask holds the position in this sequence plus one."""

VALIDATION_EVERY = 5
"""Every fifth image is in the split "val"; the others are in "train"."""

_VERSION = 2  # Goes up when the same arguments give other bytes.


def draw_shapes(
    folder: Path | str,
    *,
    count: int,
    size: tuple[int, int] = (160, 160),
    seed: int = 0,
    on_image: Callable[[int, int], object] | None = None,
) -> Path:
    """Draw a data set folder; it appears under its name only when it is complete.

    The same arguments give the same bytes. An image and its split do not depend on `count`. A folder that was
    drawn with the same arguments is left as it is.

    Args:
        folder: folder to make; it must not exist, be empty, or come from the same call.
        count: number of images.
        size: (height, width) in pixels, 32 or more each, as smaller figures could not be recognised.
        seed: seed of everything random.
        on_image: called with (images drawn, count) after each image.

    Returns:
        The folder.

    Raises:
        DataError: arguments that cannot be used (all of them listed), a folder that holds something else, or
            one that cannot be written.
    """
    folder = Path(folder)
    _require_drawable(count, size, seed)
    recipe = {
        "format": "shapes",
        "version": _VERSION,
        "classes": list(CLASSES),
        "seed": seed,
        "count": count,
        "size": list(size),
    }
    try:
        if _was_drawn(folder, recipe):
            return folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: already holds something else; name a new folder or delete this one.")
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _write(partial, recipe, on_image or (lambda done, total: None))
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}.") from error
    return folder


def _require_drawable(count: int, size: tuple[int, int], seed: int) -> None:
    height, width = size
    smallest = {"count": (count, 1), "seed": (seed, 0), "height": (height, 32), "width": (width, 32)}
    problems = [
        f"  {name}: expected {least} or more, got {value}"
        for name, (value, least) in smallest.items()
        if value < least
    ]
    if problems:
        raise DataError("\n".join(["shapes cannot be drawn:", *problems]))


def _was_drawn(folder: Path, recipe: dict[str, Any]) -> bool:
    try:
        found = json.loads((folder / "shapes.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return isinstance(found, dict) and recipe.items() <= found.items()


def _write(folder: Path, recipe: dict[str, Any], on_image: Callable[[int, int], object]) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = [("image", "labels")]
    splits: dict[str, list[str]] = {"train": [], "val": []}
    height, width = recipe["size"]
    for index in range(recipe["count"]):
        image, mask = draw_scene(np.random.default_rng([recipe["seed"], index]), height=height, width=width)
        id = f"{index:05d}"
        Image.fromarray(image).save(folder / "images" / f"{id}.jpg", quality=92)
        palette_image = Image.fromarray(mask)
        palette_image.putpalette(_palette())
        palette_image.save(folder / "masks" / f"{id}.png")
        rows.append((f"{id}.jpg", ";".join(CLASSES[value - 1] for value in np.unique(mask) if value)))
        splits["train" if (index + 1) % VALIDATION_EVERY else "val"].append(id)
        on_image(index + 1, recipe["count"])
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    text = json.dumps({**recipe, "splits": splits}, indent=1)
    (folder / "shapes.json").write_text(f"{text}\n", encoding="utf-8")


def _palette() -> bytes:
    """Black for background, then one bright hue per class."""
    hues = (colorsys.hsv_to_rgb(k / len(CLASSES), 0.75, 0.95) for k in range(len(CLASSES)))
    return bytes([0, 0, 0, *(round(255 * channel) for hue in hues for channel in hue)])
