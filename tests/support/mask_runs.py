"""A run with pseudo-masks and its data set, as the stages before would leave them, without training."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

CLASSES = ("cat", "dog", "sheep")
SIZES = {"a": (8, 12), "sub/b": (9, 5), "sub/ü c": (6, 6), "none": (4, 7)}


def draw_mask_run(folder: Path) -> Run:
    """Images of noise and masks of rectangles, one of them all background."""
    rng = np.random.default_rng(0)
    run = Run(folder / "run")
    rows = []
    for id, size in SIZES.items():
        image = folder / "photos" / "images" / f"{id}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(image)
        labels = np.zeros(size, dtype=np.uint8)
        if id != "none":
            labels[1:, 1:] = 2
            labels[2, 2] = 255
            labels[4, 3] = 3
        write_mask(run.pseudo_mask_file(id), labels)
        rows.append((f"{id}.png", "" if id == "none" else "dog|sheep"))
    with (folder / "photos" / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("image", "labels"), *rows])
    (folder / "photos" / "classes.txt").write_text("\n".join(CLASSES))
    run.write_settings(Settings())
    write_json(run.classes_file, CLASSES)
    write_json(run.environment_file, {"data": str(folder / "photos" / "labels.csv")})
    return run
