"""Cuts the pictures of a set into tiles with labels of their own, to see what labelled tiles are worth.

    python benchmarks/tiles.py DATA --split benchmarks/splits/steel.csv --out TILES [--across 2]

DATA holds images/, masks/, labels.csv and classes.txt. A tile's labels are the classes that its mask shows on
at least 0.2 % of its pixels, as somebody would label it who looks at it; a tile without any is background.
TILES gets the same files and split.csv, for benchmarks/chain.py.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

SEEN = 0.002
"""Smallest part of a tile that somebody notices."""


def cut(data: Path, split: Path, out: Path, *, across: int) -> int:
    """Write the tiles; returns their number."""
    classes = (data / "classes.txt").read_text().split()
    parts = {row["id"]: row["part"] for row in csv.DictReader(split.read_text().splitlines())}
    files = {path.stem: path for path in sorted((data / "images").iterdir())}
    labels, division = [("image", "labels")], [("id", "part")]
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for id, part in parts.items():
        with Image.open(files[id]) as opened, Image.open(data / "masks" / f"{id}.png") as stored:
            image, mask = opened.convert("RGB"), np.asarray(stored)
        rows, columns = (np.linspace(0, side, across + 1).astype(int).tolist() for side in mask.shape)
        for row in range(across):
            for column in range(across):
                left, top, right, bottom = columns[column], rows[row], columns[column + 1], rows[row + 1]
                own = mask[top:bottom, left:right]
                tile = f"{id}_{row}_{column}"
                image.crop((left, top, right, bottom)).save(out / "images" / f"{tile}.png")
                Image.fromarray(own).save(out / "masks" / f"{tile}.png")
                shown = [name for value, name in enumerate(classes, 1) if (own == value).mean() >= SEEN]
                labels.append((f"{tile}.png", ";".join(shown)))
                division.append((tile, part))
    (out / "classes.txt").write_text("\n".join(classes) + "\n")
    for name, table in (("labels.csv", labels), ("split.csv", division)):
        with (out / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(table)
    return len(labels) - 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--across", type=int, default=2, help="tiles along each side")
    options = parser.parse_args()
    print(f"{cut(options.data, options.split, options.out, across=options.across)} tiles in {options.out}")


if __name__ == "__main__":
    main()
