"""Training on two processes (CPU, gloo) gives the weights of one process with the double batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from swtformer.datasets.shapes import draw_shapes


def _train(data: Path, out: Path, *flags: str) -> dict[str, torch.Tensor]:
    command = [
        *(sys.executable, "-m", "swtformer", "train", str(data), "--out", str(out)),
        *("--model.backbone", "swin_nano", "--model.weights", "none", "--model.drop_path", "0"),
        *("--train.crop_px", "32", "--train.long_side_px", "32,40", "--train.workers", "0"),
        *("--train.epochs", "2", "--train.precision", "fp32", "--data.validation_fraction", "0"),
        *("--loss.detach", "cam", "--train.accelerator", "cpu", *flags),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return dict(load_file(out / "model" / "model.safetensors"))


def test_two_processes_equal_one(tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "shapes", count=10, size=(40, 40), validation_fraction=0.2)
    one = _train(data, tmp_path / "one", "--train.batch_size", "4")
    two = _train(data, tmp_path / "two", "--train.batch_size", "2", "--train.devices", "2")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=2e-4, rtol=1e-3, msg=name)
    assert len((tmp_path / "two" / "metrics.csv").read_text().splitlines()) == 3
