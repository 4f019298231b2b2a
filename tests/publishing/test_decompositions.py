from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.publishing.decompositions import exact_bilinear, log_sigmoid
from swtformer.publishing.onnx import OnnxGraph, write_onnx

SIZES = [((5, 7), (13, 29)), ((128, 96), (375, 500)), ((40, 41), (9, 11)), ((1, 4), (6, 1)), ((3, 3), (3, 3))]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("places", "size"), SIZES)
def test_exact_bilinear_is_torchs_resizing(
    places: tuple[int, int], size: tuple[int, int], align_corners: bool
) -> None:
    maps = torch.randn(2, 3, *places, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(exact_bilinear(maps, size, align_corners=align_corners), expected)


def test_places_by_hand() -> None:
    """Two places to three pixels: at -1/6 → 0, 1/2 and 7/6 → 1; corners aligned: 0, 1/2, 1."""
    maps = torch.tensor([[[[0.0, 6.0]]]])
    assert exact_bilinear(maps, (1, 3)).flatten().tolist() == [0.0, 3.0, 6.0]
    assert exact_bilinear(maps, (1, 4)).flatten().tolist() == [0.0, 1.5, 4.5, 6.0]
    assert exact_bilinear(maps, (1, 4), align_corners=True).flatten().tolist() == pytest.approx([0, 2, 4, 6])


class Enlarged(nn.Module):
    """Steep maps at the size of a photograph: by size, by a whole factor, and by one left to the exporter."""

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        size = (maps.shape[2] * 4 - 9, maps.shape[3] * 4 - 12)
        return (
            F.interpolate(maps, size, mode="bilinear"),
            F.interpolate(maps, scale_factor=2, mode="bilinear"),
            F.interpolate(maps, scale_factor=1.5, mode="bilinear"),
        )


def test_onnxruntime_resizes_at_exact_places(tmp_path: Path) -> None:
    def example(batch: int, height: int, width: int) -> tuple[Tensor]:
        return (10 * torch.randn(batch, 3, height, width),)

    graph = OnnxGraph(
        module=Enlarged(),
        inputs={"maps": {0: "batch", 2: "height", 3: "width"}},
        outputs=("sized", "twice", "odd"),
        example=example,
        compared=((2, 31, 17),),
    )
    write_onnx(graph, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (maps,) = example(1, 96, 128)
    sized, twice, _ = session.run(None, {"maps": maps.numpy()})
    # 40 is the largest magnitude, and its rounding is 2^-24 of that. The Resize of onnxruntime misses this.
    for result, wanted in zip((sized, twice), Enlarged()(maps.double()), strict=False):
        assert (torch.from_numpy(result).double() - wanted).abs().max() < 2e-5


def test_log_sigmoid_is_torchs() -> None:
    values = torch.linspace(-800, 800, 4001, dtype=torch.float64)
    torch.testing.assert_close(log_sigmoid(values), F.logsigmoid(values), rtol=1e-14, atol=1e-15)


def test_log_sigmoid_by_hand() -> None:
    """log(1/2); log(3/4) of log 3, log(1/4) of -log 3."""
    values = torch.tensor([1.0, 3.0, 1 / 3], dtype=torch.float64).log()
    assert log_sigmoid(values).exp().tolist() == pytest.approx([0.5, 0.75, 0.25])


def test_onnxruntime_keeps_how_absent_a_class_is(tmp_path: Path) -> None:
    """From probabilities of 1/2 to e^-40; onnxruntime's own sigmoid is 0 for most of them."""

    class Absent(nn.Module):
        def forward(self, scores: Tensor) -> tuple[Tensor]:
            return (F.logsigmoid(scores),)

    graph = OnnxGraph(
        module=Absent(),
        inputs={"scores": {0: "batch"}},
        outputs=("logarithms",),
        example=lambda batch, _, count: (torch.linspace(-40, 0, batch * count).view(batch, count),),
    )
    differences = write_onnx(graph, tmp_path / "net.onnx", size=(1, 400))
    assert all(gaps["logarithms"] < 1e-5 for gaps in differences.values())
