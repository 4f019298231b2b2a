"""A dozen small images for trainings that take a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swtformer.datasets.records import ImageSet, Record
from swtformer.settings import Settings, merge, validate

COLOURS = ((220, 40, 40), (40, 220, 40))


def draw_squares(folder: Path) -> ImageSet:
    """Noisy images of 40×48 px with a red square, a green one, both or none."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(12):
        present = ((0,), (1,), (0, 1), ())[i % 4]
        pixels = rng.integers(60, 120, (40, 48, 3), dtype=np.uint8)
        for k in present:
            y, x = rng.integers(0, 20, 2)
            pixels[y : y + 16, x : x + 16] = COLOURS[k]
        path = folder / f"{i}.png"
        Image.fromarray(pixels).save(path)
        records.append(Record(id=str(i), image=path, present=present))
    return ImageSet("squares", "table", folder, ("red", "green"), tuple(records), labels_from="drawn")


def quick_settings(**changes: dict[str, Any]) -> Settings:
    """Three epochs of a tiny network in fp32, with changes by section."""
    base = {
        "data": {"validation_fraction": 0},
        "model": {"method": "swtformer_v2", "backbone": "swin_nano", "weights": "none"},
        "train": {
            "epochs": 3,
            "batch_size": 4,
            "crop_px": 32,
            "long_side_px": [40, 48],
            "workers": 0,
            "precision": "fp32",
            "learning_rate": 1e-3,
        },
        "localize": {"long_side_px": None, "scales": [1.0], "precision": "fp32"},
    }
    return validate(Settings, merge(base, changes), where="test")
