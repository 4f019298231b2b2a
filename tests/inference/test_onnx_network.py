"""Prediction from ONNX files, against the torch network that they were written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from support.models import CLASSES
from swtformer.cli import main
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.inference.onnx_network import OnnxNetwork
from swtformer.inference.predictor import load_predictor
from swtformer.publishing.export import export_onnx
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import PredictSettings, SegmentSettings
from swtformer.stages.predict import predict

SIZE = (64, 96)
PHOTO = np.random.default_rng(0).integers(0, 256, (75, 101, 3), dtype=np.uint8)
EXACT = {"precision": "fp32", "window_px": 64, "overlap_px": 16, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    settings = SegmentSettings(
        encoder="test_resnet", decoder="fpn", weights="none", presence=1, long_side_px=120
    )
    return create_network(settings, CLASSES).eval()


@pytest.fixture(scope="module")
def saved(network: SegmentationNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def free(network: SegmentationNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "free.onnx"
    export_onnx(network, file)
    return file


@pytest.fixture(scope="module")
def fixed(network: SegmentationNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "fixed.onnx"
    export_onnx(network, file, size=SIZE)
    return file


def test_masks_are_those_of_torch_at_any_size_and_scale(saved: Path, free: Path) -> None:
    settings = PredictSettings.model_validate({**EXACT, "scales": (0.75, 1.0), "probabilities": True})
    wanted = load_predictor(saved, settings).predict(PHOTO)
    predictor = load_predictor(free, settings)
    made = predictor.predict(PHOTO)
    assert predictor.classes == CLASSES
    assert predictor.about == {"encoder": "test_resnet", "decoder": "fpn"}
    assert len(np.unique(wanted.labels)) > 1
    assert (made.labels != wanted.labels).mean() < 1e-3
    assert made.probabilities is not None
    assert wanted.probabilities is not None
    np.testing.assert_allclose(made.probabilities, wanted.probabilities, atol=1e-3)


def test_predict_takes_the_file(saved: Path, free: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "photos" / "a.png")
    chosen = {**EXACT, "flip": False}
    expected = predict(
        saved, tmp_path / "photos", tmp_path / "torch", settings=PredictSettings.model_validate(chosen)
    )
    command = ["predict", str(free), str(tmp_path / "photos"), "--out", str(tmp_path / "onnx")]
    assert main([*command, *(f"--predict.{name}={value}" for name, value in chosen.items())]) == 0
    folders = (expected.masks, tmp_path / "onnx" / "masks")
    of_torch, of_onnx = (np.asarray(Image.open(folder / "a.png")) for folder in folders)
    assert (of_torch != of_onnx).mean() < 1e-3


def test_a_file_of_one_size(network: SegmentationNetwork, fixed: Path) -> None:
    images = torch.rand(2, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(OnnxNetwork(fixed)(images), network(images), atol=1e-3, rtol=1e-3)
    with pytest.raises(SwtformerError, match="takes images of 64×96 px, got 96×64"):
        OnnxNetwork(fixed)(images.mT)


def test_the_strength_of_the_image_level_head_is_fixed(fixed: Path) -> None:
    with pytest.raises(SwtformerError, match=r"has predict\.presence 1"):
        OnnxNetwork(fixed)(torch.rand(1, 3, *SIZE), 0.5)


def test_other_files_are_refused(fixed: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.onnx: does not exist"):
        OnnxNetwork(tmp_path / "none.onnx")
    (tmp_path / "cut.onnx").write_bytes(fixed.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"cut\.onnx: is damaged or not an ONNX"):
        OnnxNetwork(tmp_path / "cut.onnx")
    images, *made = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8])
        for name in ("images", "logits", "cam")
    )
    nodes = [onnx.helper.make_node("Identity", ["images"], [item.name]) for item in made]
    maps: Any = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "cam", [images], made),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.helper.set_model_props(maps, {"made_by": "swtformer"})
    onnx.save(maps, tmp_path / "cam.onnx")
    with pytest.raises(CheckpointError, match="a file with images, logits, cam"):
        load_predictor(tmp_path / "cam.onnx", PredictSettings())
    foreign: Any = onnx.load(fixed)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match="that `swtformer onnx` wrote, got"):
        OnnxNetwork(tmp_path / "foreign.onnx")


@pytest.mark.parametrize(
    ("key", "value"), [("classes", "[1"), ("classes", "1"), ("settings", "{}"), ("reading", "")]
)
def test_damaged_notes_are_refused(key: str, value: str, fixed: Path, tmp_path: Path) -> None:
    damaged: Any = onnx.load(fixed)
    noted = {item.key: item.value for item in damaged.metadata_props}
    onnx.helper.set_model_props(damaged, {**noted, key: value})
    onnx.save(damaged, tmp_path / "damaged.onnx")
    with pytest.raises(CheckpointError, match="its notes are damaged"):
        OnnxNetwork(tmp_path / "damaged.onnx")
