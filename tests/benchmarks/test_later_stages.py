"""The benchmarks of what comes after the maps, on a few small images."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from support.chain_data import draw_photos, quick_chain
from swtformer.datasets import open_dataset
from swtformer.stages.chain import run_stages
from swtformer.store.files import read_json
from swtformer.store.run import Run

Script = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen images with labels and masks, twelve of them in the split `val`."""
    folder = tmp_path_factory.mktemp("benchmarks")
    table = draw_photos(folder, count=18)
    with table.open(newline="") as stream:
        head, *rows = csv.reader(stream)
    with table.open("w", newline="") as stream:
        splits = ["val" if place < 12 else "rest" for place in range(len(rows))]
        lines = [[*row, split] for row, split in zip(rows, splits, strict=True)]
        csv.writer(stream).writerows([[*head, "split"], *lines])
    return folder


@pytest.fixture(scope="module")
def run(photos: Path) -> Run:
    """A run with maps, refined maps and pseudo-masks of all of them."""
    settings = quick_chain(photos)
    data = open_dataset(photos / "labels.csv", settings.data)
    return run_stages(data, settings=settings, out=photos / "run", until="pseudo-label").run


def test_refiners_are_scored_and_timed_without_a_change_of_the_run(
    script: Script, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    script("refiners").main([str(run.path), "--out", str(tmp_path / "out"), "--threads", "1", "par"])
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()} == before
    page = capsys.readouterr().out
    made = read_json(tmp_path / "out" / "par.json")
    row = re.search(r"^\| `par` \| ([\d.]+) \| ([\d.]+) \| ([+-][\d.]+) \| ([\d.]+) % \|", page, re.MULTILINE)
    assert row is not None, page
    start, after, gain, decided = map(float, row.groups())
    assert gain == pytest.approx(after - start, abs=0.011)
    assert after == pytest.approx(made["quality"]["after"], abs=0.006)
    assert decided == pytest.approx(made["quality"]["decided"], abs=0.06)
    assert 0 < decided <= 100
    assert "18 images; start: R-CAM, argmax" in page
    assert [speed["seconds"] > 0 for speed in made["speeds"]] == [True, True]


def test_the_page_of_any_classifiers_maps(script: Script) -> None:
    first = {"model": "resnet18", "data": "set/train", "images": 9}
    scores = {"miou": [0.1, 0.2, 0.3, 0.4567, 0.5], "seconds_per_image": 0.0312}
    page = script("cam_any_model").page([{**first, **scores}], "python x")
    assert "| `resnet18` | 10.00 | 20.00 | 30.00 | 45.67 | 50.00 | 0.031 |" in page
    assert "9 images of `set/train`" in page


def test_a_timm_network_needs_weights(script: Script, photos: Path) -> None:
    with pytest.raises(SystemExit, match=r"resnet18 is not a folder.*--weights FILE"):
        script("cam_any_model").main(
            ["--data", str(photos / "labels.csv"), "--models", "resnet18", "--splits", "rest", "val"]
        )
