"""A data set on disk and settings under which all stages together take seconds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from support.masked_squares import draw_pair, save_mask
from support.models import CLASSES
from support.squares import quick_settings
from swtformer.settings import Settings, merge


def draw_photos(folder: Path, *, count: int = 9, masks: bool = True) -> Path:
    """Noisy images with coloured squares, their labels in a table, and their masks."""
    from PIL import Image

    images = folder / "images"
    images.mkdir(parents=True)
    for index in range(count):
        image, mask = draw_pair(index)
        Image.fromarray(np.asarray(image)).save(images / f"{index}.png")
        if masks:
            save_mask(folder / "masks" / "images" / f"{index}.png", mask)
    with (folder / "labels.csv").open("w", newline="") as stream:
        rows = [(f"images/{index}.png", CLASSES[index % len(CLASSES)]) for index in range(count)]
        csv.writer(stream).writerows([("image", "labels"), *rows])
    return folder / "labels.csv"


def quick_chain(folder: Path, **changes: dict[str, Any]) -> Settings:
    """One epoch of the smallest networks; half of each label's pixels become pseudo-labels."""
    own: dict[str, dict[str, Any]] = {
        "data": {"classes": list(CLASSES), "masks": str(folder / "masks")},
        "train": {"epochs": 1},
        "pseudo_label": {"rule": "keep", "keep": 0.5},
        "segment": {
            "decoder": "segformer",
            "epochs": 1,
            "batch_size": 4,
            "crop_px": 32,
            "long_side_px": None,
            "validation_fraction": 0.0,
            "workers": 0,
            "precision": "fp32",
        },
    }
    return quick_settings(**merge(own, changes))
