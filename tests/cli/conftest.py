from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.cli import main
from swtformer.datasets.shapes import draw_shapes


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Flags of the smallest training that is one."""
    return [
        "--model.backbone=mobilenetv2_100",
        "--model.weights=none",
        "--train.batch_size=4",
        "--train.crop_px=64",
        "--train.workers=0",
    ]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    draw_shapes(folder, count=16, size=(64, 64))
    return folder


@pytest.fixture(scope="session")
def run(shapes: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the command line trained on the split train and localized on the split val."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", str(shapes), "--out", str(folder), "--train.epochs=1", *tiny]) == 0
    assert main(["localize", str(folder), "--data.split=val", "--localize.scales=1"]) == 0
    return folder
