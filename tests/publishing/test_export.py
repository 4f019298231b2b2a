"""ONNX files by the name of a model, or of a model that is at hand."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from swtformer.errors import CheckpointError, SwtformerError
from swtformer.publishing.export import export_onnx
from swtformer.publishing.saved import find_model
from swtformer.store.run import Run


def outputs(path: Path) -> list[str]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()]


def test_the_network_of_a_run_that_is_asked_for(run_with_network: Run, tmp_path: Path) -> None:
    made = export_onnx(run_with_network, str(tmp_path / "maps.onnx"), network="cam", size=(64, 64))
    assert outputs(made.path) == ["logits", "cam"]


def test_a_model_at_hand_is_given_back_as_it_was(run_with_network: Run, tmp_path: Path) -> None:
    model = find_model(run_with_network).load().train()
    model.backbone.eval()
    before = [module.training for module in model.modules()]
    made = export_onnx(model, tmp_path / "network.onnx", size=(64, 64))
    assert outputs(made.path) == ["logits"]
    assert [module.training for module in model.modules()] == before
    with pytest.raises(CheckpointError, match="is of the kind 'segmentation'; 'cam' was asked for"):
        export_onnx(model, tmp_path / "maps.onnx", network="cam")


def test_the_file_is_named_before_the_model_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"must end in \.onnx"):
        export_onnx(tmp_path / "nothing", tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="does not exist"):
        export_onnx(tmp_path / "nothing", tmp_path / "net.onnx")
