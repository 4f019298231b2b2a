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
from swtformer.methods.pretrained import from_pretrained, save_pretrained
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.pretrained import is_network, load_network, save_network
from swtformer.settings import SegmentSettings
from swtformer.store.run import Run


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    return create_network(SegmentSettings(decoder="segformer"), CLASSES, start=tiny("swtformer_v1")).eval()


@pytest.fixture
def folder(network: SegmentationNetwork, tmp_path: Path) -> Path:
    return save_network(network, tmp_path / "model")


@torch.no_grad()
def test_round_trip(network: SegmentationNetwork, folder: Path) -> None:
    loaded = load_network(folder)
    assert loaded.classes == CLASSES
    assert loaded.settings == network.settings
    assert not loaded.training
    images = torch.rand(1, 3, 40, 50)
    assert torch.equal(loaded(images), network(images))


def test_a_run_stands_for_its_segmentation_network(network: SegmentationNetwork, tmp_path: Path) -> None:
    run = Run(tmp_path)
    save_pretrained(tiny(), run.model)
    with pytest.raises(CheckpointError, match="is no segmentation network"):
        load_network(run)
    save_network(network, run.segmentation / "model")
    for source in (run, str(tmp_path), run.segmentation, run.segmentation / "model"):
        assert load_network(source).settings == network.settings
    with pytest.raises(CheckpointError, match="does not exist"):
        load_network(tmp_path / "nothing")


@torch.no_grad()
def test_round_trip_of_a_dilated_encoder(tmp_path: Path) -> None:
    settings = SegmentSettings(decoder="deeplabv3plus", encoder="mobilenet_v2", weights="none")
    network = create_network(settings, CLASSES).eval()
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_network(save_network(network, tmp_path))(images), network(images))


@torch.no_grad()
def test_a_network_saved_before_there_was_an_image_level_head(tmp_path: Path) -> None:
    settings = SegmentSettings(presence=0)
    network = create_network(settings, CLASSES, start=tiny("swtformer_v1")).eval()
    folder = save_network(network, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["network"]["presence"]
    (folder / "config.json").write_text(json.dumps(config))
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_network(folder)(images), network(images))


def test_a_saved_encoder_is_not_tried_again(tmp_path: Path) -> None:
    settings = SegmentSettings(decoder="segformer", encoder="mobilenet_v2", weights="none")
    folder = save_network(create_network(settings, CLASSES), tmp_path / "model")
    seen: list[object] = []
    with register_module_forward_pre_hook(lambda module, inputs: seen.append(module)):
        load_network(folder)
    assert seen == []


def test_the_two_kinds_are_told_apart(folder: Path, tmp_path: Path) -> None:
    other = save_pretrained(tiny(), tmp_path / "cam")
    assert is_network(folder)
    assert not is_network(other)
    with pytest.raises(CheckpointError, match="is no segmentation network: 'network' is missing"):
        load_network(other)
    with pytest.raises(CheckpointError, match="is no swtformer model config"):
        from_pretrained(folder)


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_number_of_classes(folder: Path) -> None:
    change(folder, classes=["cat"])
    with pytest.raises(
        CheckpointError, match=r"was made for 3 classes, config\.json beside it names 1"
    ) as caught:
        load_network(folder)
    assert caught.value.exit_code == 4


def test_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors["head.weight"][:, :-1].contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"head.weight is \(4, 255, 1, 1\) in the file and \(4, 256, 1, 1\)"
    ):
        load_network(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 99}, "has the format 99"),
        ({"network": {"decoder": "unet"}}, "is no segmentation network"),
        ({"network": None}, "is no segmentation network"),
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
