"""Weights are loaded whole, or refused with what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from swtformer.errors import CheckpointError, NonFiniteError
from swtformer.settings import ModelSettings
from swtformer.store.models import WEIGHTS, write_model_folder
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
    message = r"weight is \(3, 4\) .* \(3, 2\).*1 tensor is missing.*bias; .*extra"
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, tensors, source=FILE)
    assert torch.equal(model.weight, before)


def test_part_of_a_network_may_be_missing() -> None:
    model = nn.Linear(2, 3)
    weight = torch.ones(3, 2)
    assert load_weights(model, {"weight": weight}, source=FILE, partly=True) == ["bias"]
    assert torch.equal(model.weight, weight)
    with pytest.raises(CheckpointError, match="1 tensor is unknown: extra"):
        load_weights(model, {"weight": weight, "extra": weight}, source=FILE, partly=True)


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    write_model_folder(tmp_path, model, kind="cam", settings=ModelSettings(), classes=("cat",))
    file = tmp_path / WEIGHTS
    load_weights(model, read_weights(file), source=file)
    damaged = bytearray(file.read_bytes())
    damaged[-4] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"is damaged \(its SHA-256"):
        load_weights(model, read_weights(file), source=file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    tensors = {"weight": torch.zeros(1, 2), "bias": torch.tensor([value])}
    with pytest.raises(NonFiniteError, match="weights bias are not finite"):
        load_weights(nn.Linear(2, 1), tensors, source=tmp_path)
