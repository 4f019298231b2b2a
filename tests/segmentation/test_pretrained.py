from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_pre_hook

from support.models import CLASSES, tiny
from swtformer.errors import CheckpointError
from swtformer.methods.pretrained import save_pretrained
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.pretrained import load_network
from swtformer.settings import SegmentSettings
from swtformer.store.run import Run


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    return create_network(SegmentSettings(decoder="segformer"), CLASSES, start=tiny("swtformer_v1")).eval()


@pytest.fixture
def folder(network: SegmentationNetwork, tmp_path: Path) -> Path:
    return network.write(tmp_path / "model")


@torch.no_grad()
def test_round_trip(network: SegmentationNetwork, folder: Path) -> None:
    loaded = load_network(folder)
    assert loaded.classes == CLASSES
    assert loaded.settings == network.settings
    assert not loaded.training
    images = torch.rand(1, 3, 40, 50)
    assert torch.equal(loaded(images), network(images))


def test_the_segmentation_network_of_a_run(network: SegmentationNetwork, tmp_path: Path) -> None:
    run = Run(tmp_path)
    save_pretrained(tiny(), run.model)
    with pytest.raises(CheckpointError, match="not a segmentation network"):
        load_network(run)
    network.write(run.segmentation / "model")
    for source in (run, str(tmp_path), run.segmentation, run.segmentation / "model"):
        assert load_network(source).settings == network.settings
    with pytest.raises(CheckpointError, match="does not exist"):
        load_network(tmp_path / "nothing")


@torch.no_grad()
def test_round_trip_of_a_dilated_encoder(tmp_path: Path) -> None:
    settings = SegmentSettings(decoder="deeplabv3plus", encoder="mobilenet_v2", weights="none")
    network = create_network(settings, CLASSES).eval()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_network(network.write(tmp_path))(images), network(images))


def test_a_saved_encoder_is_not_tried_again(tmp_path: Path) -> None:
    settings = SegmentSettings(decoder="segformer", encoder="mobilenet_v2", weights="none")
    folder = create_network(settings, CLASSES).write(tmp_path / "model")
    seen: list[object] = []
    with register_module_forward_pre_hook(lambda module, inputs: seen.append(module)):
        load_network(folder)
    assert seen == []


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_number_of_classes(folder: Path) -> None:
    change(folder, classes=["cat"])
    with pytest.raises(CheckpointError, match=r"head\.bias is \(4,\) in the file and \(2,\)") as caught:
        load_network(folder)
    assert caught.value.exit_code == 4


def test_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors["head.weight"][:, :-1].contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"\(4, 255, 1, 1\) in the file and \(4, 256, 1, 1\)"):
        load_network(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 99}, "has the format 99"),
        ({"network": {"decoder": "unet"}}, "holds values that cannot be used"),
        ({"network": None}, "holds values that cannot be used"),
    ],
)
def test_configs_that_do_not_hold(values: dict[str, object], message: str, folder: Path) -> None:
    change(folder, **values)
    with pytest.raises(CheckpointError, match=message):
        load_network(folder)


def test_damage(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        load_network(folder)
    weights.write_bytes(pickle.dumps({"head.bias": 1}))
    with pytest.raises(CheckpointError, match="damaged"):
        load_network(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="expected an object, got list"):
        load_network(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"holds no model \(config\.json is missing\)"):
        load_network(folder)
