"""Says where masks are wrong: what of objects is missed, confused and grown, by their size.

    python benchmarks/errors.py PREDICTIONS --data DATA/labels.csv --config chain.yaml \\
        [--split benchmarks/splits/msrc.csv --part compare] [--classes dog cat] [--sheet worst.png]

PREDICTIONS is a folder of masks, such as `masks` in what `chain.py` or `swtformer predict` wrote; the true
masks are those of the configuration (`data.masks`). An object is a connected region of one class. Of its
pixels, some are found, some are called background (missed) and some another class (confused). Background that
is called its class belongs to the nearest object of that class (grown); where the image shows none, it is
invented. The sheet shows the photographs with the least part of right pixels: photograph, truth, prediction.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from chain import part_of, parts
from PIL import Image
from scipy import ndimage

from swtformer.datasets import open_dataset
from swtformer.datasets.images import read_image
from swtformer.datasets.label_images import read_truth
from swtformer.datasets.mask_images import read_mask
from swtformer.label_values import IGNORED
from swtformer.scoring.measures import scored_labels
from swtformer.settings import Settings, read_settings, validate
from swtformer.store.masks import voc_palette

SIZES = (0.0, 0.01, 0.05, 0.2)
"""Least size of each row, as a part of the image."""
NAMES = ("below 1 %", "1 to 5 %", "5 to 20 %", "20 % and more")
SMALLEST_PX = 16
"""Regions of fewer pixels are specks of the drawing."""
TILE_PX = 200
WORST = 16


@dataclass(frozen=True)
class Fate:
    """What became of an object, in pixels.

    Attributes:
        part: of the image, in [0, 1].
        area, found, missed, confused: of the object; missed is called background, confused another class.
        grown: background beside it that is called its class.
    """

    part: float
    area: int
    found: int
    missed: int
    confused: int
    grown: int


def fates(truth: np.ndarray, labels: np.ndarray, over: Collection[int]) -> Iterator[Fate]:
    """The objects of an image.

    Args:
        truth, labels: (H, W), 0 for background; 255 in the truth does not count.
        over: label values of the objects that count.
    """
    for value in sorted(set(np.unique(truth).tolist()) & set(over) - {0}):
        regions, count = ndimage.label(truth == value, structure=np.ones((3, 3)))
        nearest = ndimage.distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
        grown = regions[tuple(nearest)][(labels == value) & (truth == 0)]
        beside = np.bincount(grown, minlength=count + 1)
        for number in range(1, count + 1):
            own = labels[regions == number]
            if len(own) >= SMALLEST_PX:
                found, missed = int((own == value).sum()), int((own == 0).sum())
                yield Fate(
                    len(own) / truth.size,
                    len(own),
                    found,
                    missed,
                    len(own) - found - missed,
                    int(beside[number]),
                )


def invented(truth: np.ndarray, labels: np.ndarray, over: Collection[int]) -> int:
    """Pixels of background that are called one of some classes which the image does not show."""
    absent = sorted(set(over) - {0, *np.unique(truth).tolist()})
    return int(((truth == 0) & np.isin(labels, absent)).sum())


def table(objects: Sequence[Fate]) -> str:
    """A row for each size; parts of the objects' area, in %."""
    lines = [
        "| object's part of the image | objects | at least half found | found | missed | confused | grown |",
        "|---|---|---|---|---|---|---|",
    ]
    for low, high, name in zip(SIZES, (*SIZES[1:], 2.0), NAMES, strict=True):
        chosen = [one for one in objects if low <= one.part < high]
        area = sum(one.area for one in chosen)
        if not chosen:
            lines.append(f"| {name} | 0 | | | | | |")
            continue
        half = 100 * sum(2 * one.found >= one.area for one in chosen) / len(chosen)
        sums = [
            100 * sum(getattr(one, what) for one in chosen) / area
            for what in ("found", "missed", "confused", "grown")
        ]
        lines.append(
            f"| {name} | {len(chosen)} | {half:.0f} % | {' | '.join(f'{each:.0f}' for each in sums)} |"
        )
    return "\n".join(lines)


def sheet(rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Image.Image:
    """Photographs, truths and predictions side by side, two to a line."""
    palette = voc_palette()
    lines = -(-len(rows) // 2)
    made = Image.new("RGB", (6 * TILE_PX, lines * TILE_PX), "white")
    for place, (photograph, truth, labels) in enumerate(rows):
        for step, picture in enumerate((photograph, palette[truth], palette[labels])):
            tile = Image.fromarray(picture.astype(np.uint8))
            tile.thumbnail(
                (TILE_PX - 6, TILE_PX - 6), Image.Resampling.NEAREST if step else Image.Resampling.BICUBIC
            )
            made.paste(tile, ((3 * (place % 2) + step) * TILE_PX, place // 2 * TILE_PX))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--split", type=Path)
    parser.add_argument("--part", default="compare")
    parser.add_argument("--classes", nargs="*", help="classes whose objects count; by default all")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    settings = validate(Settings, read_settings(options.config), where=str(options.config))
    data = open_dataset(options.data, settings.data, reader=settings.reader)
    if options.split is not None:
        data = part_of(data, parts(options.split)[options.part])
    over = scored_labels(data, options.classes or None)
    objects, wrong, background, false = [], [], 0, 0
    for record in data.records:
        if record.mask is None:
            continue
        truth = read_truth(record, data.classes)
        labels = read_mask(options.predictions / f"{record.id}.png")
        objects += fates(truth, labels, over)
        false += invented(truth, labels, over)
        background += int((truth == 0).sum())
        wrong.append((float((truth != labels)[truth != IGNORED].mean()), record, truth, labels))
    print(f"{len(wrong)} images, {len(objects)} objects\n\n{table(objects)}\n")
    print(f"Invented: {100 * false / max(background, 1):.1f} % of the background.")
    if options.sheet is not None:
        worst = sorted(wrong, key=lambda each: -each[0])[:WORST]
        sheet(
            [(read_image(record.image, settings.data), truth, labels) for _, record, truth, labels in worst]
        ).save(options.sheet)


if __name__ == "__main__":
    main()
