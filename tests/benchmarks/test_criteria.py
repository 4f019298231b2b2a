"""What could choose the background weight, by hand, and a run over images of a network without training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from support.squares import draw_squares
from swtformer.datasets.images import read_image
from swtformer.methods import create_model
from swtformer.settings import DataSettings, ModelSettings
from swtformer.store.masks import write_mask

Script = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


def test_edges_compare_borders_with_the_image(script: Script) -> None:
    image = torch.zeros(3, 2, 4)
    image[:, :, 2:] = 1
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    # Two of the ten differences between neighbours are 3, the others 0; the border lies on these two.
    assert script("criteria").edges(image, labels) == pytest.approx(3 / 0.6)
    assert math.isnan(script("criteria").edges(image, torch.zeros_like(labels)))


def test_the_classifier_sees_objects_alone_and_the_rest_alone(script: Script) -> None:
    seen = []

    def encode(images: torch.Tensor) -> SimpleNamespace:
        seen.append(images)
        return SimpleNamespace(logits=torch.tensor([[0.0, 9.0], [-100.0, 9.0]]))

    image = torch.tensor([0.0, 1.0]).view(1, 1, 2).expand(3, 1, 2)
    objects = torch.tensor([[True, False]])
    assert script("criteria").verdict(SimpleNamespace(encode=encode), image, objects, [0]) == pytest.approx(
        0.5
    )
    assert seen[0][:, 0, 0].tolist() == [[0.0, 0.5], [0.5, 1.0]]


def test_the_table_tells_what_each_criterion_would_choose(script: Script) -> None:
    criteria = script("criteria")
    found = {name: {"0.5": 1.0, "1": 0.0} for name in criteria.CRITERIA}
    found |= {"mIoU": {"0.5": 40.0, "1": 60.0}, "others": dict.fromkeys(criteria.OTHERS, 61.0)}
    rows = criteria.table({"farm": found}).splitlines()
    assert rows[0] == "| chosen by | farm: weight, mIoU |"
    assert "| largest blanking | 0.5, 40.0 |" in rows
    assert "| smallest agreement | 1, 60.0 |" in rows
    assert "| masks* | 1, 60.0 |" in rows
    assert "| found for each image (V3) | 61.0 |" in rows


def test_curves_of_a_network_without_training(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    criteria = script("criteria")
    monkeypatch.setattr(criteria, "LONG_SIDE_PX", 64)
    data = draw_squares(tmp_path)
    mask = np.zeros(read_image(data.records[0].image).shape[:2], np.uint8)
    mask[:8] = 1
    write_mask(tmp_path / "mask.png", mask)
    records = [replace(record, mask=tmp_path / "mask.png") for record in data.records if record.present]
    data = replace(data, records=tuple(records[:4]))
    model = create_model(
        ModelSettings(method="swtformer_v3", backbone="swin_nano", weights="none"), tuple(data.classes)
    )
    found = criteria.curves(model.eval(), data, DataSettings(), [0, 1, 2])
    assert set(found) == {*criteria.CURVES, "others"}
    for name in ("agreement", "mirror", "unclaimed"):
        assert all(0 <= value <= 1 for value in found[name].values())
    assert found["unclaimed"]["0.5"] <= found["unclaimed"]["1.5"]
    assert all(0 <= value <= 100 for value in (*found["mIoU"].values(), *found["others"].values()))


def test_curves_are_drawn(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    criteria = script("criteria")
    curve = {f"{weight:g}": weight for weight in criteria.WEIGHTS}
    criteria.plot({"farm": dict.fromkeys(criteria.CURVES, curve)}, tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
