"""Damaged checkpoints are refused."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from swtformer.engine.checkpoint_files import (
    damage,
    digest_file,
    epoch_file,
    newest_checkpoint,
    read_checkpoint,
    remove_checkpoint,
    remove_older,
    write_checkpoint,
)
from swtformer.errors import CheckpointError


def _state(value: float = 1.0) -> dict[str, Any]:
    return {"state_dict": {"w": torch.full((3,), value)}, "global_step": 7}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    for epoch in (1, 2):
        write_checkpoint(epoch_file(tmp_path, epoch), _state(epoch))
    return tmp_path


def test_round_trip(saved: Path) -> None:
    path = newest_checkpoint(saved)
    assert path.name == "epoch-0002.ckpt"
    loaded = read_checkpoint(path)
    assert loaded["state_dict"]["w"].tolist() == [2, 2, 2]
    assert damage(path) is None
    assert not list(saved.glob(".*"))  # no temporary file is left


@pytest.mark.parametrize("fault", ["truncated", "flipped", "no digest", "digest"])
def test_damaged_checkpoints_are_skipped(fault: str, saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved / "epoch-0002.ckpt"
    data = bytearray(path.read_bytes())
    if fault == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif fault == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif fault == "digest":
        digest_file(path).write_bytes(b"\xff\x00")
    else:
        digest_file(path).unlink()
    with pytest.raises(CheckpointError, match="epoch-0002"):
        read_checkpoint(path)
    with caplog.at_level(logging.WARNING, logger="swtformer"):
        assert newest_checkpoint(saved).name == "epoch-0001.ckpt"
    assert "Resuming from epoch-0001.ckpt" in caplog.text


def test_all_damaged_or_none_there(saved: Path, tmp_path: Path) -> None:
    for path in saved.glob("*.ckpt"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="All checkpoints are damaged"):
        newest_checkpoint(saved)
    with pytest.raises(CheckpointError, match="no checkpoint to resume"):
        newest_checkpoint(tmp_path / "none")


class _Hostile:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('executed')",))


def test_a_malicious_pickle_is_not_executed(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "epoch-0001.ckpt"
    path.write_bytes(pickle.dumps(_Hostile()))
    digest_file(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match="is refused: it holds more than tensors") as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 4


def test_removing_takes_the_digest_along(saved: Path) -> None:
    path = saved / "epoch-0001.ckpt"
    remove_checkpoint(path)
    assert not path.exists()
    assert not digest_file(path).exists()


def test_the_older_ones_go_by_their_names(saved: Path) -> None:
    for name in ("epoch-0003.ckpt", "best-0001.ckpt"):
        write_checkpoint(saved / name, _state())
    remove_older(saved)
    files = sorted(path.name for path in saved.glob("*.ckpt"))
    assert files == ["best-0001.ckpt", "epoch-0002.ckpt", "epoch-0003.ckpt"]
    assert len(list(saved.glob("*.sha256"))) == 3


FAULTS = """
import resource, signal, sys
from pathlib import Path
import torch
from swtformer.engine.checkpoint_files import write_checkpoint

class Stop(BaseException):
    pass

class Slow:
    def __reduce__(self):
        signal.raise_signal(signal.SIGTERM)
        return int, ()

def stop(*_):
    raise Stop("stopped")

signal.signal(signal.SIGTERM, stop)
state = {"w": torch.zeros(99999)}
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
else:
    state["x"] = Slow()
try:
    write_checkpoint(Path(sys.argv[1]) / "epoch-0003.ckpt", state)
except BaseException as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("fault", "told"),
    [("full", "epoch-0003.ckpt: cannot be written: File too large"), ("stop", "Stop stopped")],
)
def test_a_full_disk_and_a_signal_are_not_hidden_by_torch(fault: str, told: str, saved: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, str(saved), fault], capture_output=True, text=True, check=True
    )
    assert told in done.stdout
    assert newest_checkpoint(saved).name == "epoch-0002.ckpt"
    assert not list(saved.glob(".*"))
