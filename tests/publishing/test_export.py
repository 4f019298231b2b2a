"""Our own models as ONNX: what goes in and comes out, and that the files agree with torch at any size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from support.models import CLASSES, settle_batch_statistics, tiny
from swtformer.backbones.swin import Swin, SwinShape
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.functional.activation import normalised
from swtformer.methods import METHODS, Method, PyramidMethod, create_model
from swtformer.publishing.export import export_onnx, graph_of
from swtformer.publishing.onnx import COMPARED, write_onnx
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.segmentation.pretrained import load_network
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
    (images,) = graph.example(2, *SIZE)
    encoding = model.encode(images)
    positive = encoding.activations.numpy().clip(min=0)
    if norm == "minmax":
        positive -= positive.min((2, 3), keepdims=True)
    expected = positive / (positive.max((2, 3), keepdims=True) + 1e-5)
    assert (expected.max((2, 3)) > 0.9).any()
    made = dict(zip(graph.outputs, graph.module(images), strict=True))
    torch.testing.assert_close(made["logits"], encoding.logits)
    np.testing.assert_allclose(made["cam"].numpy(), expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_v2_refines_the_maps_of_the_classes_that_are_present() -> None:
    model = tiny("swtformer_v2")
    graph = graph_of(model)
    assert graph.inputs["present"] == {0: "batch"}
    images, drawn = graph.example(200, 32, 33)
    assert images.shape == (200, 3, 32, 33)
    assert drawn[:, 0].all()
    assert 60 < drawn[:, 1].sum() < 140
    present = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    expected_logits, expected = model(images[:2], present)
    made = dict(zip(graph.outputs, graph.module(images[:2], present), strict=True))
    torch.testing.assert_close(made["logits"], expected_logits)
    assert made["cam"].shape[:2] == (2, 3)
    torch.testing.assert_close(made["rcam"], expected.rcam)
    assert made["rcam"][:, 1:].flatten(2).any(-1).tolist() == present.bool().tolist()


@torch.no_grad()
def test_a_segmentation_network_gives_logits_at_the_size_of_the_image() -> None:
    model = network()
    graph = graph_of(model)
    (images,) = graph.example(2, *SIZE)
    (logits,) = graph.module(images)
    assert logits.shape == (2, 4, *SIZE)
    torch.testing.assert_close(logits, model(images))


def test_the_file_says_classes_and_settings() -> None:
    model = tiny("swtformer_v2")
    metadata = graph_of(model).metadata
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert json.loads(metadata["settings"])["options"]["hff"] == model.options.hff
    assert metadata["images"].startswith("float32 RGB in [0, 1], (batch, 3, height, width)")


def test_a_method_without_a_pyramid_is_refused() -> None:
    class Flat(Method):
        build = losses = logits = maps = None
        settings_type = METHODS["swtformer_v1"].settings_type

    with pytest.raises(SwtformerError, match="is not a pyramid"):
        graph_of(Flat(ModelSettings(), CLASSES, None))


def test_v2_on_a_swin_at_any_size(tmp_path: Path) -> None:
    """A Swin of one or two blocks per stage, shifted and unshifted, has all that a larger one has."""
    torch.manual_seed(0)
    swin = Swin("swin_nano", SwinShape(16, (1, 2, 1, 1), (1, 1, 2, 2)))
    model = METHODS["swtformer_v2"](swin, ModelSettings(), ("a", "b"))
    differences = export_onnx(model, tmp_path / "net.onnx")
    assert set(differences) == set(COMPARED)
    assert all(set(gaps) == {"logits", "cam", "rcam"} for gaps in differences.values())
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    shapes = [item.shape for item in session.get_inputs()]
    assert shapes == [["batch", 3, "height", "width"], ["batch", 2]]


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("test_resnet", "upernet"),
        ("tu-test_resnet", "upernet"),
        ("tu-test_resnet", "segformer"),
        ("test_resnet", "deeplabv3plus"),
        ("test_resnet", "fpn"),
        ("test_vit", "segformer"),
    ],
)
def test_every_decoder_at_any_size(encoder: str, decoder: str, tmp_path: Path) -> None:
    """Also on maps of fewer places than a pooling has cells, and on one place of stride 32."""
    torch.manual_seed(0)
    settings = SegmentSettings.model_validate({"encoder": encoder, "decoder": decoder, "weights": "none"})
    graph = graph_of(create_network(settings, ("cat", "dog")))
    sizes = ((1, 32, 32), (3, 224, 64), (1, 17, 300))
    assert set(write_onnx(replace(graph, compared=sizes), tmp_path / "network.onnx")) == set(sizes)


def on(backbone: str, **options: object) -> Method:
    """A V1 whose last stage is at stride 16."""
    torch.manual_seed(0)
    settings = ModelSettings(method="swtformer_v1", backbone=backbone, weights="none", output_stride=16)
    model = create_model(settings, CLASSES, METHODS.options("swtformer_v1", options))
    settle_batch_statistics(model)
    return model.eval()


def test_both_branches_of_a_conformer_at_any_size(tmp_path: Path) -> None:
    assert set(export_onnx(on("conformer_nano"), tmp_path / "net.onnx")) == set(COMPARED)


def test_maps_that_are_averaged_over_alike_places_at_any_size(tmp_path: Path) -> None:
    model = on("test_resnet", pixel_correlation=(3, 4))
    assert isinstance(model, PyramidMethod)
    graph = graph_of(model)
    (images,) = graph.example(1, 64, 96)
    with torch.no_grad():
        _, cam = graph.module(images)
        torch.testing.assert_close(cam, normalised(model.class_maps(model.encode(images)), norm="max"))
    assert cam.shape[-2:] == (4, 6)
    assert set(write_onnx(graph, tmp_path / "net.onnx")) == set(COMPARED)


def test_a_decoder_that_takes_strides_for_granted_on_a_dilated_backbone(tmp_path: Path) -> None:
    settings = SegmentSettings(encoder="run", decoder="fpn")
    network = create_network(settings, CLASSES, start=on("test_resnet")).eval()
    assert set(export_onnx(network, tmp_path / "network.onnx")) == set(COMPARED)


def test_a_network_without_background_is_compared_by_its_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    settings = SegmentSettings(encoder="test_resnet", decoder="fpn", weights="none")
    network = create_network(settings, ("cat", "dog"), background=False)
    (differences,) = write_onnx(
        replace(graph_of(network), compared=((1, 32, 32),)), tmp_path / "net.onnx"
    ).values()
    assert differences["logits"] < 1e-3
    forward = type(network).forward

    def swapped(self: SegmentationNetwork, images: torch.Tensor, presence: float = 1.0) -> torch.Tensor:
        logits = forward(self, images, presence)
        return logits if torch.compiler.is_exporting() else logits[:, [0, 2, 1]]

    monkeypatch.setattr(type(network), "forward", swapped)
    with pytest.raises(SwtformerError, match="differs from torch"):
        write_onnx(replace(graph_of(network), compared=((1, 32, 32),)), tmp_path / "swapped.onnx")


def test_a_run_and_the_network_that_is_named(run_with_network: Run, tmp_path: Path) -> None:
    differences = export_onnx(run_with_network, tmp_path / "maps.onnx", network="cam", size=(64, 64))
    assert {size: list(gaps) for size, gaps in differences.items()} == {
        (1, 64, 64): ["logits", "cam"],
        (3, 64, 64): ["logits", "cam"],
    }


def test_a_given_model_keeps_its_mode(run_with_network: Run, tmp_path: Path) -> None:
    model = load_network(run_with_network).train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    export_onnx(model, tmp_path / "network.onnx", size=(64, 64))
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(CheckpointError, match="of the kind 'segmentation', not 'cam'"):
        export_onnx(model, tmp_path / "maps.onnx", network="cam")
