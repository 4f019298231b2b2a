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
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from swtformer.datasets.figures import FIGURES
from swtformer.datasets.scenes import draw_scene
from swtformer.errors import DataError, nearest

Side = int | tuple[int, int]
"""Pixels, or the lowest and the highest number of pixels."""

CLASSES: tuple[str, ...] = tuple(FIGURES)
"""All classes that can be drawn."""

SMALLEST_SIDE_PX = 32
"""Images below this hold no figure that could be recognised."""

_VERSION = 1  # Goes up when the same arguments give other bytes.


@dataclass(frozen=True)
class _Recipe:
    """What decides every byte of the folder; shapes.json keeps it."""

    classes: tuple[str, ...]
    seed: int
    count: int
    size: tuple[Side, Side]
    background_fraction: float
    validation_fraction: float
    image_format: str

    def check(self) -> None:
        """Raise DataError with every argument that cannot be used."""
        problems = [
            f"classes: unknown {name!r}. {nearest(name, CLASSES)}"
            for name in self.classes
            if name not in FIGURES
        ]
        if not self.classes or len(set(self.classes)) != len(self.classes):
            problems.append(f"classes: expected at least one, each once, got {list(self.classes)}")
        if self.count < 1:
            problems.append(f"count: expected at least 1, got {self.count}")
        if self.seed < 0:
            problems.append(f"seed: expected 0 or more, got {self.seed}")
        for name, side in zip(("height", "width"), self.size, strict=True):
            low, high = _range(side)
            if not SMALLEST_SIDE_PX <= low <= high:
                problems.append(
                    f"{name}: expected {SMALLEST_SIDE_PX} px or more, or a rising range, got {side}"
                )
        for name in ("background_fraction", "validation_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name}: expected a number from 0 to 1, got {getattr(self, name)}")
        if self.image_format not in ("jpg", "png"):
            problems.append(f"image_format: expected 'jpg' or 'png', got {self.image_format!r}")
        if problems:
            raise DataError("shapes cannot be drawn:\n" + "\n".join(f"  {problem}" for problem in problems))

    def facts(self) -> dict[str, Any]:
        """What shapes.json says of it, as JSON gives it back."""
        facts: dict[str, Any] = json.loads(
            json.dumps({"format": "shapes", "version": _VERSION, **asdict(self)})
        )
        return facts

    def is_validation(self, index: int) -> bool:
        """Whether image `index` is in the split "val", evenly spread and whatever the count."""
        return int((index + 1) * self.validation_fraction) > int(index * self.validation_fraction)


def draw_shapes(
    folder: Path | str,
    *,
    count: int,
    size: tuple[Side, Side] = (160, 160),
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
    background_fraction: float = 0.05,
    validation_fraction: float = 0.2,
    image_format: Literal["jpg", "png"] = "jpg",
    on_image: Callable[[int, int], object] | None = None,
) -> Path:
    """Draw a data set folder; it appears under its name only when it is whole.

    The same arguments give the same bytes. Image i and the split it belongs to do not depend on `count`. A
    folder that was drawn with the same arguments is left as it is.

    Args:
        folder: folder to make; it must not exist, be empty, or come from the same call.
        count: number of images.
        size: (height, width) in pixels, each a number or a (lowest, highest) range to draw from per image.
        classes: names out of `CLASSES`; a mask holds the position in this sequence plus one.
        seed: seed of everything random.
        background_fraction: chance of an image without any object.
        validation_fraction: part of the images in the split "val"; the rest is "train".
        image_format: file format of the images; masks are always PNG.
        on_image: called with (images drawn, count) after each image.

    Returns:
        The folder.

    Raises:
        DataError: arguments that cannot be used (all of them listed), a folder that holds something else, or
            one that cannot be written.
    """
    folder = Path(folder)
    recipe = _Recipe(
        tuple(classes), seed, count, size, background_fraction, validation_fraction, image_format
    )
    recipe.check()
    try:
        if _was_drawn(folder, recipe):
            return folder
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: already holds something else; name a new folder or delete this one.")
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _write(partial, recipe, on_image)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}.") from error
    return folder


def _was_drawn(folder: Path, recipe: _Recipe) -> bool:
    try:
        found = json.loads((folder / "shapes.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return isinstance(found, dict) and recipe.facts().items() <= found.items()


def _write(folder: Path, recipe: _Recipe, on_image: Callable[[int, int], object] | None) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    palette = _palette(len(recipe.classes))
    rows = []
    splits: dict[str, list[str]] = {"train": [], "val": []}
    for index in range(recipe.count):
        rng = np.random.default_rng([recipe.seed, index])
        height, width = (int(rng.integers(low, high + 1)) for low, high in map(_range, recipe.size))
        scene = draw_scene(
            rng,
            height=height,
            width=width,
            classes=recipe.classes,
            background_fraction=recipe.background_fraction,
        )
        id = f"{index:05d}"
        image = folder / "images" / f"{id}.{recipe.image_format}"
        Image.fromarray(scene.image).save(image, quality=92)
        mask = Image.fromarray(scene.mask)
        mask.putpalette(palette)
        mask.save(folder / "masks" / f"{id}.png")
        rows.append((image.name, ";".join(recipe.classes[k] for k in scene.present)))
        splits["val" if recipe.is_validation(index) else "train"].append(id)
        if on_image is not None:
            on_image(index + 1, recipe.count)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "labels"))
        writer.writerows(rows)
    facts = {**recipe.facts(), "splits": splits}
    (folder / "shapes.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _range(side: Side) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else side


def _palette(classes: int) -> bytes:
    """Black for background, then one bright hue per class."""
    hues = [colorsys.hsv_to_rgb(k / classes, 0.75, 0.95) for k in range(classes)]
    return bytes([0, 0, 0, *(round(255 * channel) for hue in hues for channel in hue)])
