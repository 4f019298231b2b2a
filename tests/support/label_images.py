"""Random masks with everything that exchange formats stumble over."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swtformer.datasets.problems import Problems
from swtformer.exporters import Correction, Known, LabelledImage, Reading

CLASSES = ("cat", "träktor", "hot dog", "x & <y>")

SIZES = {
    "plain": (23, 31),
    "1": (1, 1),
    "row": (1, 9),
    "column": (11, 1),
    "sub folder/with blanks": (17, 8),
    "grün/日本": (8, 64),
    "sub folder/deeper/plain": (40, 13),
    "v1.5": (5, 5),
}


def random_labels(seed: int, size: tuple[int, int], *, values: Sequence[int]) -> np.ndarray:
    """Rectangles and single pixels over one another: holes, several parts, corners that touch."""
    rng = np.random.default_rng(seed)
    height, width = size
    labels = np.zeros(size, dtype=np.uint8)
    for _ in range(int(rng.integers(2, 9))):
        y, x = rng.integers(0, height), rng.integers(0, width)
        labels[y : y + rng.integers(1, height + 1), x : x + rng.integers(1, width + 1)] = rng.choice(values)
    noisy = rng.random(size) < 0.05
    labels[noisy] = rng.choice(values, size=int(noisy.sum()))
    return labels


def labelled_images(seed: int = 0, *, values: Sequence[int] = (0, 1, 2, 3, 4, 255)) -> list[LabelledImage]:
    """One mask of each size; the last is all background."""
    images = [
        LabelledImage(id, f"{id}.jpg", None, random_labels(seed + n, size, values=values))
        for n, (id, size) in enumerate(SIZES.items())
    ]
    return [*images, LabelledImage("empty", "empty.PNG", None, np.zeros((6, 7), dtype=np.uint8))]


def reading_of(images: Sequence[LabelledImage], classes: Sequence[str] = CLASSES) -> tuple[Reading, Problems]:
    """An import that wants the masks of some images."""
    problems = Problems()
    known: Mapping[str, Known] = {
        image.id: Known(image.size, Path("masks") / f"{image.id}.png") for image in images
    }
    return Reading(known, classes, problems), problems


def as_annotated(format: str, path: Path) -> None:
    """Do to a file what its tool does when the user saves without a change."""
    if format == "label-studio":
        tasks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for task in tasks:
            task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
        path.write_text(json.dumps(tasks), encoding="utf-8")


def without_fingerprints(format: str, path: Path) -> None:
    """Do to a file what a tool does that drops what it does not know."""
    if format == "label-studio":
        tasks = json.loads(path.read_text(encoding="utf-8"))
        for task in tasks:
            del task["data"]["swtformer"]
        path.write_text(json.dumps(tasks), encoding="utf-8")
    elif format == "coco":
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["info"]
        path.write_text(json.dumps(content), encoding="utf-8")
    elif format == "cvat-images":
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r' swtformer="\w+"', "", text), encoding="utf-8")
    elif path.is_dir():
        (path / "swtformer.json").unlink()
    else:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if name != "swtformer.json"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)


def by_id(corrections: Sequence[Correction]) -> dict[str, np.ndarray]:
    """Labels of corrections by id."""
    return {correction.id: correction.labels for correction in corrections}
