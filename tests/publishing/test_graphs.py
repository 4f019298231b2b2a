"""Graphs of our networks: what goes in and comes out, and that ONNX files of them say what torch says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.backbones.swin import Swin, SwinShape
from swtformer.methods import METHODS, Method
from swtformer.publishing.graphs import SIZES, graph_of
from swtformer.publishing.onnx import DRAWS_OF_CHOICES, write_onnx
from swtformer.publishing.saved import find_model
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import ModelSettings, SegmentSettings
from swtformer.store.run import Run

SIZE = (45, 70)
"""(height, width) that no stride divides."""


def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return create_network(SegmentSettings(decoder="segformer"), CLASSES, start=tiny("swtformer_v1")).eval()


@pytest.mark.parametrize("norm", ["max", "minmax"])
@torch.no_grad()
def test_v1_gives_logits_and_scaled_positive_maps(norm: str) -> None:
    model = tiny("swtformer_v1", norm=norm)
    graph = graph_of(model)
    assert dict(graph.inputs) == {"images": {0: "batch", 2: "height", 3: "width"}}
    assert tuple(graph.outputs) == ("logits", "cam")
    (images,) = graph.example(2, *SIZE)
    assert images.shape == (2, 3, *SIZE)
    encoding = model.encode(images)
    positive = encoding.activations.numpy().clip(min=0)
    if norm == "minmax":
        positive -= positive.min((2, 3), keepdims=True)
    expected = positive / (positive.max((2, 3), keepdims=True) + 1e-5)
    assert (expected.max((2, 3)) > 0.9).any()
    for module in (graph.module, graph.reference):
        assert module is not None
        logits, cam = module(images)
        torch.testing.assert_close(logits, encoding.logits)
        np.testing.assert_allclose(cam.numpy(), expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_v2_refines_the_maps_of_the_classes_that_are_said_to_be_present() -> None:
    model = tiny("swtformer_v2")
    graph = graph_of(model)
    assert dict(graph.inputs) == {
        "images": {0: "batch", 2: "height", 3: "width"},
        "present": {0: "batch"},
    }
    assert tuple(graph.outputs) == ("logits", "cam", "refined")
    images, _ = graph.example(2, *SIZE)
    present = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    expected_logits, expected = model(images, present)
    assert expected.refined is not None
    for module in (graph.module, graph.reference):
        assert module is not None
        logits, cam, refined = module(images, present)
        torch.testing.assert_close(logits, expected_logits)
        assert cam.shape[:2] == (2, 3)
        torch.testing.assert_close(refined, expected.refined)
        assert refined[:, 1:].flatten(2).any(-1).tolist() == present.bool().tolist()


def test_examples_of_v2_have_a_class_in_every_image() -> None:
    graph = graph_of(tiny("swtformer_v2"))
    torch.manual_seed(0)
    images, present = graph.example(200, 2, 3)
    assert images.shape == (200, 3, 2, 3)
    assert present.shape == (200, 3)
    assert set(present.flatten().tolist()) == {0, 1}
    assert present[:, 0].all()
    assert 60 < present[:, 1].sum() < 140


@torch.no_grad()
def test_a_segmentation_network_gives_logits_at_the_size_of_the_image() -> None:
    model = network()
    graph = graph_of(model)
    assert dict(graph.inputs) == {"images": {0: "batch", 2: "height", 3: "width"}}
    assert tuple(graph.outputs) == ("logits",)
    (images,) = graph.example(2, *SIZE)
    for module in (graph.module, graph.reference):
        assert module is not None
        (logits,) = module(images)
        assert logits.shape == (2, 4, *SIZE)
        torch.testing.assert_close(logits, model(images), atol=1e-4, rtol=1e-4)


MODELS: dict[str, Callable[[], Method | SegmentationNetwork]] = {
    "v1": lambda: tiny("swtformer_v1"),
    "v2": lambda: tiny("swtformer_v2"),
    "segmentation": network,
}


@pytest.mark.parametrize("kind", MODELS)
def test_metadata_tell_classes_and_settings(kind: str) -> None:
    model = MODELS[kind]()
    told = graph_of(model).metadata
    assert json.loads(told["classes"]) == list(CLASSES)
    assert json.loads(told["settings"]) == model.settings.model_dump(mode="json")
    assert told["images"].startswith("float32 RGB in [0, 1], (batch, 3, height, width)")
    assert told["made_by"] == "swtformer"


@pytest.mark.parametrize("kind", MODELS)
def test_the_model_is_compared_as_it_is_and_a_copy_is_rewritten(kind: str) -> None:
    model = MODELS[kind]().train()
    kinds = [type(module) for module in model.modules()]
    graph = graph_of(model)
    assert graph.reference is not None
    assert model in graph.reference.modules()
    assert model not in graph.module.modules()
    assert [type(module) for module in model.modules()] == kinds
    assert not any(module.training for module in (*model.modules(), *graph.module.modules()))
    rewritten = [type(module).__name__ for module in graph.module.modules()]
    assert any(name.startswith("_AnySize") for name in rewritten)


def test_one_compared_size_fits_every_stride_and_one_fits_none() -> None:
    (_, *even), (_, *odd) = SIZES
    assert all(side % 32 == 0 for side in even)
    assert all(side % 2 for side in odd)
    assert even[0] != even[1]
    for model in MODELS.values():
        assert tuple(graph_of(model()).sizes) == SIZES


def test_v2_alone_chooses() -> None:
    assert graph_of(tiny("swtformer_v1")).draws == 1
    assert graph_of(network()).draws == 1
    assert graph_of(tiny("swtformer_v2")).draws == DRAWS_OF_CHOICES == 3


def small_swin_v2() -> Method:
    """V2 on a Swin of one or two blocks per stage: shifted and unshifted, and all that a larger one has."""
    torch.manual_seed(0)
    swin = Swin("swin_nano", SwinShape(16, (1, 2, 1, 1), (1, 1, 2, 2)))
    return METHODS["swtformer_v2"](swin, ModelSettings(), ("a", "b"))


def test_v2_on_a_swin_at_a_fixed_size(tmp_path: Path) -> None:
    result = write_onnx(graph_of(small_swin_v2()), tmp_path / "net.onnx", size=(64, 96))
    assert set(result.differences) == {(1, 64, 96), (3, 64, 96)}
    assert all(set(gaps) == {"logits", "cam", "refined"} for gaps in result.differences.values())
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    assert [item.shape for item in session.get_inputs()] == [["batch", 3, 64, 96], ["batch", 2]]


def test_v2_on_a_swin_at_any_size(tmp_path: Path) -> None:
    result = write_onnx(graph_of(small_swin_v2()), tmp_path / "net.onnx")
    assert set(result.differences) == set(SIZES)
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    assert [item.shape for item in session.get_inputs()] == [
        ["batch", 3, "height", "width"],
        ["batch", 2],
    ]


def test_a_segmentation_network_of_any_size(run_with_network: Run, tmp_path: Path) -> None:
    model = find_model(run_with_network.path).load()
    result = write_onnx(graph_of(model), tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": np.zeros((1, 3, 70, 45), np.float32)})
    assert logits.shape == (1, 4, 70, 45)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("test_resnet", "upernet"),
        ("tu-test_resnet", "upernet"),
        ("tu-test_resnet", "segformer"),
        ("test_resnet", "deeplabv3plus"),
        ("test_resnet", "fpn"),
    ],
)
def test_every_decoder_at_any_size(encoder: str, decoder: str, tmp_path: Path) -> None:
    """On maps of fewer places than a pooling has cells, too, and on one place of stride 32."""
    torch.manual_seed(0)
    settings = SegmentSettings.model_validate({"encoder": encoder, "decoder": decoder, "weights": "none"})
    network = create_network(settings, ("cat", "dog"))
    sizes = ((1, 32, 32), (3, 224, 64), (1, 17, 300))
    result = write_onnx(replace(graph_of(network), sizes=sizes), tmp_path / "network.onnx")
    assert set(result.differences) == set(sizes)
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
