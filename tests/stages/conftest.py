"""A run with drawn maps and ground truth, as localize would leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from swtformer.datasets.records import ImageSet, Record
from swtformer.maps import ClassActivationMaps
from swtformer.masks import write_mask
from swtformer.run import Run, write_json
from swtformer.settings import Settings

CLASSES = ("cat", "dog", "sheep")
SIZES = {"a": (40, 60), "b": (33, 47), "sub/c": (24, 24), "none": (20, 30)}
PRESENT = {"a": (0,), "b": (0, 2), "sub/c": (1,), "none": ()}


@dataclass(frozen=True)
class Drawn:
    """A run, its data set, and the folder of the ground truth."""

    run: Run
    data: ImageSet
    truth: Path

    def maps(self, id: str) -> ClassActivationMaps:
        return ClassActivationMaps.load(self.run.map_file(id))

    def change(self, id: str, **fields: object) -> None:
        replace(self.maps(id), **fields).save(self.run.map_file(id))  # type: ignore[arg-type]


def draw_maps(
    seed: int, size: tuple[int, int], present: tuple[int, ...], *, refined: bool
) -> ClassActivationMaps:
    """Smooth random blobs, each class with a maximum of 1, at stride 4."""
    rng = np.random.default_rng(seed)
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    y, x = np.mgrid[:height, :width]
    cam = np.zeros((len(present), height, width))
    for channel in cam:
        centre = rng.random(2) * (height, width)
        channel[:] = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (0.1 * height * width))
        channel += 0.05 * rng.random((height, width))
        channel /= channel.max()
    full = np.concatenate([1 - cam.max(0, initial=0)[None], cam**0.7])
    probabilities = np.array([0.9 if k in present else 0.1 for k in range(len(CLASSES))]) - 0.05 * rng.random(
        3
    )
    return ClassActivationMaps(
        values=np.array(present) + 1,
        size=size,
        cam=cam,
        refined=full if refined else None,
        probabilities=probabilities,
        made_by="model",
    )


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Drawn]:
    """Make a run; `refined=False` is a V1."""

    def make(*, refined: bool = True, settings: Settings = Settings()) -> Drawn:  # noqa: B008
        run, truth = Run(tmp_path / "run"), tmp_path / "truth"
        run.write_settings(settings)
        write_json(run.classes_file, CLASSES)
        write_json(run.maps_file, {"made_by": "model", "scales": [0.5, 1.0], "flip": True})
        records = []
        for seed, (id, size) in enumerate(SIZES.items()):
            draw_maps(seed, size, PRESENT[id], refined=refined).save(run.map_file(id))
            other = draw_maps(seed + 50, size, PRESENT[id], refined=False)
            labels = np.zeros(size, np.uint8)
            for value, channel in zip(other.values, other.cam, strict=True):
                full = np.kron(channel, np.ones((4, 4)))[: size[0], : size[1]]
                labels[full > 0.3] = value
            labels[:2] = 255
            write_mask(truth / f"{id}.png", labels)
            records.append(Record(id, tmp_path / "images" / f"{id}.jpg", PRESENT[id], truth / f"{id}.png"))
        data = ImageSet(
            "drawn/val", "table", tmp_path, CLASSES, tuple(records), labels_from="labels.csv", split="val"
        )
        return Drawn(run, data, truth)

    return make
