"""The GPU benchmark on a CPU, with a small network, and its page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from swtformer.settings import Settings, merge, validate


def test_it_measures_a_small_network(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpu = script("gpu")
    monkeypatch.setattr(gpu, "RESULT", tmp_path / "gpu.md")
    monkeypatch.setattr(gpu, "SIZES", ((40, 48), (48, 40)))
    small = {"train": {"crop_px": 64}, "localize": {"scales": [1.0], "long_side_px": None}}
    given = gpu.settings_of
    monkeypatch.setattr(
        gpu,
        "settings_of",
        lambda options: validate(Settings, merge(given(options).model_dump(mode="json"), small), where=""),
    )
    words = ["--images=6", "--workers=0", "--batch_size=3", "--map_batch_size=2", "--backbone=swin_nano"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    gpu.main()
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "--images 6 --workers 0 --batch_size 3 --map_batch_size 2" in page
    rows = [line.split("|") for line in page.splitlines() if "batches of" in line]
    assert [row[1].strip().split(",")[0] for row in rows] == ["training at 64 px", "maps"]
    assert all(float(row[2]) > 0 for row in rows)
    assert all(int(row[3].replace("%", "")) >= 0 for row in rows)
    assert "training at 64 px" in capsys.readouterr().out


def test_images_come_in_sizes_of_voc(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    data = script("gpu").drawn_images(tmp_path, count=20)
    assert len(data) == 20
    assert data.records[3].image.read_bytes() == data.records[19].image.read_bytes()
    assert data.records[1].present == (1, 10)
