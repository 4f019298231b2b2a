"""Lightning's checkpoints go through files of ours; when they are written is tested with the trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swtformer.engine.checkpoint_files import damage, read_checkpoint
from swtformer.engine.checkpoints import AtomicCheckpointIO
from swtformer.errors import NonFiniteError


def _state(value: float = 1.0) -> dict[str, Any]:
    return {"state_dict": {"w": torch.full((3,), value)}, "global_step": 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "epoch-0002.ckpt"
    AtomicCheckpointIO("segment.").save_checkpoint(_state(2), str(path))
    return path


def test_they_are_written_read_and_removed(path: Path) -> None:
    assert damage(path) is None
    loaded = AtomicCheckpointIO("segment.").load_checkpoint(str(path))
    assert (
        loaded["state_dict"]["w"].tolist() == read_checkpoint(path)["state_dict"]["w"].tolist() == [2, 2, 2]
    )
    AtomicCheckpointIO("segment.").remove_checkpoint(str(path))
    assert not list(path.parent.iterdir())


def test_non_finite_weights_never_replace_a_checkpoint(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(NonFiniteError, match=r"w are not finite at step 7.*segment\.l") as caught:
        AtomicCheckpointIO("segment.").save_checkpoint(_state(float("nan")), path)
    assert caught.value.exit_code == 5
    assert path.read_bytes() == before
    assert damage(path) is None
