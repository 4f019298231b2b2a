"""The page from figures that are written by hand, and rows measured on a few photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from swtformer.datasets import open_dataset
from swtformer.settings import DataSettings
from swtformer.store.masks import write_mask


def test_the_page_gives_medians_and_their_ratios(script: Callable[[str], ModuleType]) -> None:
    now = {
        "dense CRF, torch, ms": [200.0, 300, 900],
        "dense CRF, pydensecrf, ms": [600.0, 600, 600],
        "x, s": [1.0],
    }
    page = script("host").page({"dense CRF, torch, ms": [900.0, 1200, 600]}, now, "python benchmarks/host.py")
    assert "| dense CRF, torch, ms | 900 | 300 | 3.00 |" in page
    assert "| x, s | – | 1 | – |" in page
    assert "does 2.00 times the work" in page
    assert "{" not in page


@pytest.mark.parametrize("row", ["exports", "map_files", "reading"])
def test_rows_measure_positive_figures(row: str, script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"JPEGImages/{number}.jpg")
        labels = np.zeros((24, 32), np.uint8)
        labels[4:20, 6:20] = 3
        write_mask(tmp_path / f"SegmentationClass/{number}.png", labels)
    (tmp_path / "ImageSets/Segmentation/train.txt").write_text("0\n1\n2\n")
    figures = script("host").ROWS[row](open_dataset(tmp_path, DataSettings(split="train")))
    assert len(figures) > 4
    assert min(figures.values()) >= 0
