from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from swtformer.backbones import create_backbone
from swtformer.backbones.weights import answers, fill, read_tensors
from swtformer.errors import CheckpointError, SwtformerError

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


class Payload:
    """An object whose unpickling would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "backbone.", "module.backbone.", "model.", "model._orig_mod.", "model.module.encoder."],
)
def test_tensors_come_back_by_their_names(tmp_path: Path, suffix: str, prefix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    named = {prefix + name: tensor for name, tensor in TENSORS.items()}
    beside = prefix.rpartition(".")[0].rpartition(".")[0]
    if prefix:  # what a trainer keeps beside the network
        named[f"{beside}.head.bias".lstrip(".")] = torch.zeros(9)
    if suffix == ".safetensors":
        save_file(named, path)
    else:
        torch.save(named, path)
    read = read_tensors(path)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_wrappers_are_opened(tmp_path: Path, wrapper: str) -> None:
    torch.save({wrapper: TENSORS, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "weights.pth")
    assert read_tensors(tmp_path / "weights.pth").keys() == TENSORS.keys()


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    torch.save({"model": Payload(tmp_path / "executed")}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"weights.pth is refused: ") as refusal:
        read_tensors(tmp_path / "weights.pth")
    assert refusal.value.exit_code == 4
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({"weight": torch.zeros(100, 100)}, path)
    else:
        torch.save({"weight": torch.zeros(100, 100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match=f"weights{suffix} is (truncated|refused)"):
        read_tensors(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"weights{suffix}").write_text("<html>404</html>" * 100)
    with pytest.raises(CheckpointError, match=f"weights{suffix} is (truncated|refused)"):
        read_tensors(tmp_path / f"weights{suffix}")


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**62),
        struct.pack("<Q", 200_000_000) + b"{}",
        struct.pack("<Q", 73)
        + json.dumps({"weight": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 2**40]}}).encode(),
    ],
)
def test_an_oversized_safetensors_header_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "weights.safetensors").write_bytes(header + bytes(64))
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        read_tensors(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("content", "message"), [({"epoch": 3}, "no named tensors"), ([1], "contains a list")]
)
def test_a_file_without_tensors_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=message):
        read_tensors(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["missing.pth", "folder.pth"])
def test_a_missing_file_is_a_mistake_of_the_user(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(SwtformerError, match=rf"{name} does not exist") as refusal:
        read_tensors(tmp_path / name)
    assert refusal.value.exit_code == 2


def test_an_unknown_extension_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(SwtformerError, match=r"weights.h5: expected the extension"):
        read_tensors(tmp_path / "weights.h5")


def test_every_tensor_is_copied() -> None:
    layer = nn.Linear(3, 2)
    fill(layer, TENSORS, source="file", network="layer")
    assert torch.equal(layer.weight, TENSORS["weight"])
    assert torch.equal(layer.bias, TENSORS["bias"])


def test_counters_of_batch_norm_may_be_missing() -> None:
    layer = nn.BatchNorm2d(2)
    tensors = {k: t + 1 for k, t in layer.state_dict().items() if k != "num_batches_tracked"}
    fill(layer, tensors, source="file", network="layer")
    assert layer.running_mean.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"weight": torch.zeros(2, 3), "scale": torch.zeros(2)},
            r"1 of its 2 tensors .*missing \(bias\), 1 are unknown \(scale\)",
        ),
        (
            {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
            r"1 of 2 .*: weight is \(2, 4\), expected \(2, 3\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_change_nothing(tensors: dict[str, torch.Tensor], message: str) -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(CheckpointError, match=message):
        fill(layer, tensors, source="file", network="layer")
    assert torch.equal(layer.weight, before)


class Refusing(BaseHTTPRequestHandler):
    """A hub without files."""

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


def test_any_answer_counts_and_silence_does_not(hub: str, empty_cache: Path) -> None:
    assert answers(hub)
    assert not answers("http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["swin_tiny", "resnet18", "mobilenetv2_050.lamb_in1k"])
def test_without_network_the_message_says_how_to_provide_the_file(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SwtformerError, match=r"127\.0\.0\.1:9 cannot be reached") as refusal:
        create_backbone(name)
    assert refusal.value.exit_code == 2
    message = str(refusal.value)
    assert f"Download model.safetensors from http://127.0.0.1:9/timm/{name}" in message
    assert f"model.weights {name}" in message
    assert "model.weights none" in message


def test_a_hub_that_lacks_the_file_is_quoted(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub)
    template = f"{hub}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(SwtformerError, match=r"cannot be downloaded: .+ model.weights none"):
        create_backbone("resnet18")


def test_cached_weights_are_used_without_network(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    revision = "0" * 40
    cached = empty_cache / "models--timm--mobilenetv2_050.lamb_in1k"
    (cached / "snapshots" / revision).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(revision)
    model = timm.create_model("mobilenetv2_050", pretrained=False)
    save_file(model.state_dict(), cached / "snapshots" / revision / "model.safetensors")
    state = create_backbone("mobilenetv2_050").state_dict()
    assert torch.equal(state["model.conv_stem.weight"], model.conv_stem.weight)


@pytest.mark.parametrize("name", ["swin_nano", "swin_tiny.ms_in2k"])
def test_unpublished_weights_are_refused(name: str) -> None:
    with pytest.raises(SwtformerError, match="No pretrained weights are published"):
        create_backbone(name)
