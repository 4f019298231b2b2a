"""A run with a model and pseudo-masks of noisy images with coloured squares, for trainings of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.models import CLASSES, tiny
from swtformer.datasets.records import ImageSet, Record
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, merge, validate
from swtformer.store.files import write_json
from swtformer.store.masks import voc_palette
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run

COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))
SIZE = (56, 64)


def draw_pair(index: int) -> tuple[np.ndarray, np.ndarray]:
    """An image with one square and its mask, whose border row of pixels is unknown."""
    rng = np.random.default_rng(index)
    image = rng.integers(60, 120, (*SIZE, 3), dtype=np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    side = 28
    y, x = rng.integers(0, SIZE[0] - side), rng.integers(0, SIZE[1] - side)
    label = index % len(CLASSES)
    image[y : y + side, x : x + side] = COLOURS[label]
    mask[y : y + side, x : x + side] = label + 1
    mask[0] = 255
    return image, mask


def save_mask(path: Path, mask: np.ndarray) -> None:
    """As `write_mask`, but without waiting for the disk: tests write many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask)
    picture.putpalette(voc_palette().tobytes())
    picture.save(path)


def draw_run(folder: Path, *, count: int = 12) -> tuple[Run, ImageSet]:
    """A run with an untrained tiny model and `count` pseudo-masks, and the set of its images."""
    run = Run(folder / "run")
    records = []
    lines = ["image,labels"]
    for index in range(count):
        image, mask = draw_pair(index)
        path = folder / "images" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        save_mask(run.pseudo_mask_file(str(index)), mask)
        records.append(Record(str(index), path, (index % len(CLASSES),)))
        lines.append(f"{index}.png,{CLASSES[index % len(CLASSES)]}")
    table = folder / "images" / "labels.csv"
    table.write_text("\n".join(lines) + "\n")
    (folder / "images" / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    model = tiny("swtformer_v1")
    settings = Settings.model_validate({"model": model.settings.model_dump()})
    run.write_settings(settings)
    write_json(run.classes_file, list(CLASSES))
    update_training_notes(run, data=str(table.resolve()), split=None)
    write_json(run.pseudo_masks_file, {"source": "maps", "data": str(table.resolve()), "split": None})
    save_pretrained(model, run.model)
    data = ImageSet("squares", "table", table, CLASSES, tuple(records), labels_from="drawn")
    return run, data


def quick(run: Run, **changes: Any) -> Settings:
    """The run's settings with a training of two epochs of the smallest network, and changes of it."""
    segment = {
        "decoder": "segformer",
        "epochs": 2,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "head_multiplier": 1.0,
        "crop_px": 64,
        "long_side_px": None,
        "scale": [0.8, 1.25],
        "validation_fraction": 0.0,
        "workers": 0,
        "precision": "fp32",
    }
    base = run.settings().model_dump(mode="json")
    return validate(Settings, merge(base, {"segment": {**segment, **changes}}), where="test")
