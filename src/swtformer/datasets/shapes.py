"""`shapes`: a procedural data set for the demo and the tests, with exact masks and no download.

A folder of scenes in which drawn animals and flowers of very different size lie on textured grounds among
clutter that belongs to no class. The classes share their coats, so a classifier looks at the small vivid mark
that tells them apart, and its maps miss much of the body.

The folder holds `images/`, `masks/` (palette label images: 0 background, k+1 for class index k), `labels.csv`
(`image,labels`, several labels separated by `;`, none for pure background) and `shapes.json` (classes, splits
as lists of image names without extension, and the arguments it was drawn with).
"""

from __future__ import annotations

import colorsys
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swtformer.datasets.scenes import CLASSES, draw_scene
from swtformer.errors import DataError, SwtformerError
from swtformer.store.files import new_folder, read_json

SMALLEST_SIDE_PX = 32
"""Images below this hold no figure that could be recognised."""

VALIDATION_EVERY = 5
"""Every fifth image is in the split "val", the others in "train"."""

_VERSION = 1  # Goes up when the same arguments give other bytes.


def draw_shapes(
    folder: Path | str,
    *,
    count: int,
    size: tuple[int, int] = (160, 160),
    seed: int = 0,
    on_image: Callable[[int, int], object] | None = None,
) -> Path:
    """Draw a data set folder; it appears under its name only when it is whole.

    The same arguments give the same bytes. Image i and the split it belongs to do not depend on `count`. A
    folder that was drawn with the same arguments is left as it is.

    Args:
        folder: folder to make; it must not exist, be empty, or come from the same call.
        count: number of images.
        size: (height, width) in pixels.
        seed: seed of everything random.
        on_image: called with (images drawn, count) after each image.

    Returns:
        The folder.

    Raises:
        DataError: arguments that cannot be used; all of them are listed.
        SwtformerError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    given = (("count", count, 1), ("seed", seed, 0), *(("size", side, SMALLEST_SIDE_PX) for side in size))
    problems = [
        f"  {name}: expected {least} or more, got {value}" for name, value, least in given if value < least
    ]
    if problems:
        raise DataError("\n".join(["shapes cannot be drawn:", *problems]))
    recipe = {
        "format": "shapes",
        "version": _VERSION,
        "classes": list(CLASSES),
        "seed": seed,
        "count": count,
        "size": list(size),
    }
    if not _was_drawn(folder, recipe):
        with new_folder(folder) as partial:
            _write(partial, recipe, on_image)
    return folder


def _was_drawn(folder: Path, recipe: dict[str, Any]) -> bool:
    try:
        found = read_json(folder / "shapes.json")
    except SwtformerError:
        return False
    return isinstance(found, dict) and recipe.items() <= found.items()


def _write(folder: Path, recipe: dict[str, Any], on_image: Callable[[int, int], object] | None) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    palette = _palette()
    rows = []
    splits: dict[str, list[str]] = {"train": [], "val": []}
    for index in range(recipe["count"]):
        rng = np.random.default_rng([recipe["seed"], index])
        pixels, labels = draw_scene(rng, size=recipe["size"])
        id = f"{index:05d}"
        image = folder / "images" / f"{id}.jpg"
        Image.fromarray(pixels).save(image, quality=92)
        mask = Image.fromarray(labels)
        mask.putpalette(palette)
        mask.save(folder / "masks" / f"{id}.png")
        present = [CLASSES[value - 1] for value in np.unique(labels) if value]
        rows.append((image.name, ";".join(present)))
        splits["train" if (index + 1) % VALIDATION_EVERY else "val"].append(id)
        if on_image is not None:
            on_image(index + 1, recipe["count"])
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "labels"))
        writer.writerows(rows)
    facts = {**recipe, "splits": splits}
    (folder / "shapes.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _palette() -> bytes:
    """Black for background, then one bright hue per class."""
    hues = (colorsys.hsv_to_rgb(k / len(CLASSES), 0.75, 0.95) for k in range(len(CLASSES)))
    return bytes([0, 0, 0, *(round(255 * channel) for hue in hues for channel in hue)])
