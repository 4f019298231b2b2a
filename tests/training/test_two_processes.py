"""Two processes (CPU, gloo) give the weights, scores and failures of one with the double batch."""

from __future__ import annotations

import csv
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.squares import draw_squares, quick_settings
from swtformer.datasets import open_dataset
from swtformer.engine.batches import EpochBatches
from swtformer.errors import SettingsError
from swtformer.settings import Settings
from swtformer.stages.train import train
from swtformer.store.failures import read_failures
from swtformer.store.run import Run

FLAGS = (
    *(
        "--model.method",
        "swtformer_v2",
        "--model.backbone",
        "swin_nano",
        "--model.weights",
        "none",
        "--model.drop_path",
        "0",
    ),
    *("--train.crop_px", "32", "--train.long_side_px", "32,40", "--train.workers", "0"),
    *("--train.epochs", "1", "--train.precision", "fp32", "--train.accelerator", "cpu"),
    *("--data.split", "train", "--data.validation_split", "val"),
)


def _settings(**train: int) -> Settings:
    """The settings of `FLAGS`."""
    return quick_settings(
        data={"split": "train", "validation_split": "val"},
        model={"drop_path": 0},
        train={
            "long_side_px": [32, 40],
            "epochs": 1,
            "learning_rate": 6e-5,
            "accelerator": "cpu",
            **train,
        },
    )


def _weights(run: Run) -> dict[str, torch.Tensor]:
    return dict(load_file(run.model / "model.safetensors"))


def _assert_close(one: Run, two: Run) -> None:
    expected, found = _weights(one), _weights(two)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(value, found[name], atol=2e-4, rtol=1e-3, msg=name)


def _row(run: Run, *columns: str) -> list[float]:
    with run.metrics_file.open() as stream:
        (row,) = csv.DictReader(stream)
    return [float(row[name]) for name in columns]


def _scores(run: Run) -> list[float]:
    return _row(run, "validation_map_per_class", "validation_map_per_image")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve training images and seven for validation, as a CSV file."""
    rows = ["image,labels,split"]
    for split, count in (("train", 12), ("val", 7)):
        (tmp_path / split).mkdir()
        drawn = draw_squares(tmp_path / split)
        for record in drawn.records[:count]:
            labels = ";".join(drawn.classes[k] for k in record.present or ())
            rows.append(f"{split}/{record.image.name},{labels},{split}")
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_two_processes_equal_one(table: Path, tmp_path: Path) -> None:
    """One image of each set, seen only by the second process, is truncated."""
    data, validation = open_dataset(table, split="train"), open_dataset(table, split="val")
    second = next(iter(EpochBatches(len(data), 2, seed=0, rank=1, world_size=2)))[0][1]
    lost = [data.records[second], validation.records[1]]
    for record in lost:
        record.image.write_bytes(record.image.read_bytes()[:-20])

    one = train(data, settings=_settings(batch_size=4), out=tmp_path / "one")
    two = Run(tmp_path / "two")
    command = [sys.executable, "-m", "swtformer", "train", str(table), "--out", str(two.path), *FLAGS]
    done = subprocess.run(
        [*command, "--train.batch_size", "2", "--train.devices", "2"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("The trained run is in") == 1

    _assert_close(one, two)
    assert sorted(failure.id for failure in read_failures(one)) == sorted(record.id for record in lost)
    assert read_failures(two) == read_failures(one)
    assert _scores(two) == pytest.approx(_scores(one), abs=1e-6)
    assert _row(two, "loss", "cls") == pytest.approx(_row(one, "loss", "cls"), abs=2e-5)


def _train_as(variables: dict[str, str], table: Path, out: Path) -> None:
    os.environ.update(variables)
    data = open_dataset(table, split="train")
    train(data, settings=_settings(batch_size=2, devices=2), out=out)


def test_processes_that_srun_launched_share_the_work(table: Path, tmp_path: Path) -> None:
    """The processes see the variables that srun sets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "train",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_STEP_NUM_TASKS": "2",
    }
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(
            target=_train_as,
            args=({**shared, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}, table, tmp_path / "srun"),
        )
        for rank in ("0", "1")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]

    one = train(open_dataset(table, split="train"), settings=_settings(batch_size=4), out=tmp_path / "one")
    _assert_close(one, Run(tmp_path / "srun"))
    assert _scores(Run(tmp_path / "srun")) == pytest.approx(_scores(one), abs=1e-6)


def test_another_number_of_processes_than_the_settings_say(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    with pytest.raises(SettingsError, match=r"4 processes .* ask for 2: set train"):
        train(open_dataset(table, split="train"), settings=_settings(devices=2), out=tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
