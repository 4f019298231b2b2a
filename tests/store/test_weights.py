"""Weights are loaded whole, or refused with what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from swtformer.errors import CheckpointError
from swtformer.store.weights import load_weights, read_weights

FILE = Path("model.safetensors")


def test_tensors_are_read_and_loaded(tmp_path: Path) -> None:
    before = nn.Linear(2, 3)
    save_file(before.state_dict(), tmp_path / FILE)
    after = nn.Linear(2, 3)
    assert load_weights(after, read_weights(tmp_path / FILE), source=FILE) == []
    assert torch.equal(after.weight, before.weight)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not exist"):
        read_weights(tmp_path / FILE)
    (tmp_path / FILE).write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is damaged"):
        read_weights(tmp_path / FILE)


def test_a_file_of_another_network_changes_nothing() -> None:
    model = nn.Linear(2, 3)
    before = model.weight.clone()
    tensors = {"weight": torch.zeros(3, 4), "extra": torch.zeros(1)}
    message = r"weight is \(3, 4\) .* \(3, 2\).*1 tensors are missing.*bias; .*extra"
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, tensors, source=FILE)
    assert torch.equal(model.weight, before)


def test_part_of_a_network_may_be_missing() -> None:
    model = nn.Linear(2, 3)
    weight = torch.ones(3, 2)
    assert load_weights(model, {"weight": weight}, source=FILE, partly=True) == ["bias"]
    assert torch.equal(model.weight, weight)
    with pytest.raises(CheckpointError, match="1 tensors are unknown, the first is extra"):
        load_weights(model, {"weight": weight, "extra": weight}, source=FILE, partly=True)
