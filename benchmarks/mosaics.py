"""Draws pictures in which every pixel has a class, as in land cover, for trials of --data.background none.

    python benchmarks/mosaics.py MOSAICS [--count 120]
    swtformer run MOSAICS/labels.csv --data.masks MOSAICS/masks --data.background none --out RUN …

Each picture of 256 px shows two or three of four textures (ploughed rows, orchard dots, rough grass, smooth
water) in fields with straight borders; its labels are their names, its mask says where. Colours are drawn
for each field from one range for all textures, so that they tell nothing.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 256
CLASSES = ("grass", "orchard", "plough", "water")


def texture(name: str, random: np.random.Generator) -> np.ndarray:
    """(S, S) brightness around 0, at most about 1."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] + random.uniform(0, 50, 2)[:, None, None]
    angle = random.uniform(0, np.pi)
    along, across = (
        rows * np.cos(angle) + columns * np.sin(angle),
        columns * np.cos(angle) - rows * np.sin(angle),
    )
    noise = random.normal(0, 1, (SIDE_PX, SIDE_PX))
    if name == "plough":
        return np.sin(along / 2.5) + 0.2 * noise
    if name == "orchard":
        return np.maximum(np.sin(along / 4) * np.sin(across / 4), 0) * 2 - 0.4 + 0.2 * noise
    if name == "grass":
        return 0.8 * noise
    return 0.3 * np.sin(along / 30) + 0.1 * noise


def draw(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture (S, S, 3) and its mask (S, S), labels from 1."""
    image = np.zeros((SIDE_PX, SIDE_PX, 3))
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    field = np.zeros((SIDE_PX, SIDE_PX), int)
    for number in range(1, int(random.integers(2, 4))):
        angle, middle = random.uniform(0, 2 * np.pi), random.uniform(0.3, 0.7, 2) * SIDE_PX
        field[(rows - middle[0]) * np.cos(angle) + (columns - middle[1]) * np.sin(angle) > 0] = number
    for number, label in enumerate(random.permutation(len(CLASSES))[: field.max() + 1]):
        shade = texture(CLASSES[label], random)[:, :, None] * 35 + random.uniform(
            (90, 90, 60), (150, 150, 110)
        )
        image[field == number] = shade[field == number]
        mask[field == number] = label + 1
    return image.clip(0, 255).astype(np.uint8), mask


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=120)
    options = parser.parse_args()
    lines = [("image", "labels")]
    for name in ("images", "masks"):
        (options.out / name).mkdir(parents=True, exist_ok=True)
    for index in range(options.count):
        image, mask = draw(np.random.default_rng(index))
        Image.fromarray(image).save(options.out / "images" / f"{index}.png")
        Image.fromarray(mask).save(options.out / "masks" / f"{index}.png")
        lines.append((f"images/{index}.png", ";".join(CLASSES[label - 1] for label in np.unique(mask))))
    with (options.out / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)


if __name__ == "__main__":
    main()
