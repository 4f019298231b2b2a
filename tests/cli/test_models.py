"""The commands onnx, push and pull."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from huggingface_hub import constants

from swtformer.cli import main
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.settings import Settings, validate
from swtformer.store.files import write_json
from swtformer.store.notes import training_notes
from swtformer.store.run import Run

CLASSES = ("cat", "dog")


@pytest.fixture
def model_run(tmp_path: Path) -> Run:
    """A V1 run on MobileNetV2 that was never trained."""
    model = {"method": "swtformer_v1", "backbone": "mobilenetv2_035", "weights": "none"}
    settings = validate(Settings, {"model": model}, where="test")
    run = Run(tmp_path / "a run")
    run.write_settings(settings)
    write_json(run.classes_file, CLASSES)
    save_pretrained(create_model(settings.model, CLASSES), run.model)
    return run


def test_onnx_says_how_far_it_is_from_torch(
    model_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.onnx"
    assert main(["onnx", str(model_run.path), "--out", str(out), "--size", "64x96"]) == 0
    said = capsys.readouterr().out.splitlines()
    number = r"\d\.\de[-+]\d\d"
    first = rf"Largest difference from torch at 1 × 64×96 px: logits {number}, cam {number}"
    assert re.fullmatch(first, said[0])
    assert said[1].startswith("Largest difference from torch at 3 × 64×96 px: ")
    assert said[2] == f"The model is {out}."
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(facts["classes"])) == CLASSES
    logits, cam = session.run(None, {"images": np.zeros((2, 3, 64, 96), np.float32)})
    assert logits.shape == (2, 2)
    assert cam.shape == (2, 2, 2, 3)
    assert training_notes(model_run).commands[0].startswith("swtformer onnx ")


def test_push_writes_what_it_would_publish(
    model_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page"
    assert main(["push", str(model_run.path), "anna/farm", "--dry-run", str(out), "--license=mit"]) == 0
    expected = f"README.md, config.json, model.safetensors would be published: {out}\n"
    assert capsys.readouterr().out == expected
    assert "license: mit" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["onnx", "{run}", "--out", "net.onnx", "--size", "big"], 2, "--size big: expected height and width"),
        (
            ["onnx", "{run}", "--out", "net.onnx", "--network=segmentation"],
            4,
            "not a segmentation network (from `swtformer segment`)",
        ),
        (["onnx", "nowhere", "--out", "net.onnx"], 4, "nowhere: does not exist."),
        (["onnx", "nowhere", "--out", "."], 2, ".: is a folder; name a file in it, such as model.onnx."),
        (["onnx", "nowhere", "--out", "net.pt"], 2, "net.pt: the name of the file must end in .onnx."),
        (["push", "{run}", "farm"], 2, "'farm' is not a hub id: expected owner/name"),
        (["push", "{run}", "anna/farm"], 2, "cannot be reached from this machine."),
        (["pull", "anna/farm", "--out", "farm"], 2, "anna/farm cannot be fetched: "),
    ],
)
def test_mistakes_and_no_network(
    arguments: list[str],
    code: int,
    message: str,
    model_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    assert main([word.format(run=model_run.path) for word in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "net.onnx").exists()
    assert not (tmp_path / "farm").exists()
