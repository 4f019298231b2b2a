"""A run with drawn maps and ground truth, as localize would leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from support.blobs import CLASSES, draw_maps
from swtformer.datasets.records import ImageSet, Record
from swtformer.settings import Settings
from swtformer.store.files import write_json
from swtformer.store.maps import ClassActivationMaps
from swtformer.store.masks import write_mask
from swtformer.store.run import Run

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


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Drawn]:
    """Make a run; with `rcam=False` its method makes CAMs only."""

    def make(*, rcam: bool = True, settings: Settings = Settings()) -> Drawn:  # noqa: B008
        run, truth = Run(tmp_path / "run"), tmp_path / "truth"
        run.write_settings(settings)
        write_json(run.classes_file, CLASSES)
        write_json(run.maps_file, {"made_by": "model", "scales": [0.5, 1.0], "flip": True})
        records = []
        for seed, (id, size) in enumerate(SIZES.items()):
            draw_maps(seed, size, PRESENT[id], rcam=rcam).save(run.map_file(id))
            other = draw_maps(seed + 50, size, PRESENT[id], rcam=False)
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
