from __future__ import annotations

from fractions import Fraction
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
def test_it_is_torchs_bilinear_resizing(
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


@pytest.mark.parametrize("factors", [(1.5, 0.5), (2.75, 1.0), (0.375, 3.0)])
def test_positions_follow_a_factor_and_not_the_sides(factors: tuple[float, float]) -> None:
    maps = torch.randn(2, 3, 11, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps, scale_factor=factors, mode="bilinear")
    fractions = [Fraction(factor) for factor in factors]
    result = exact_bilinear(maps, expected.shape[2:], factors=fractions)
    torch.testing.assert_close(result, expected)


class Enlarged(nn.Module):
    """Steep maps at the size of a photograph."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        twice = F.interpolate(maps, scale_factor=2, mode="bilinear")
        odd = F.interpolate(maps, scale_factor=1.5, mode="bilinear")
        return (
            F.interpolate(maps, (maps.shape[2] * 4 - 9, maps.shape[3] * 4 - 12), mode="bilinear"),
            twice,
            odd,
        )


def test_the_graph_is_as_near_to_doubles_as_floats_can_be(tmp_path: Path) -> None:
    def example(batch: int, height: int, width: int) -> tuple[Tensor]:
        return (10 * torch.randn(batch, 3, height, width),)

    graph = OnnxGraph(
        module=Enlarged(),
        inputs={"maps": {0: "batch", 2: "height", 3: "width"}},
        outputs=("sized", "twice", "odd"),
        example=example,
        sizes=((1, 96, 128), (2, 31, 17)),
    )
    path = write_onnx(graph, tmp_path / "net.onnx").path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (maps,) = example(1, 96, 128)
    sized, twice, odd = (
        torch.from_numpy(result).double() for result in session.run(None, {"maps": maps.numpy()})
    )
    exact = Enlarged()(maps.double())
    # 40 is the largest magnitude: some roundings of 2^-24 of it. The Resize of onnxruntime misses this.
    for result, wanted in zip((sized, twice, odd), exact, strict=True):
        assert (result - wanted).abs().max() < 2e-5


def test_it_is_torchs_logarithm_of_the_sigmoid() -> None:
    values = torch.linspace(-800, 800, 4001, dtype=torch.float64)
    torch.testing.assert_close(log_sigmoid(values), F.logsigmoid(values), rtol=1e-14, atol=1e-15)


def test_values_by_hand() -> None:
    """log(1/2); log(3/4) of log 3, log(1/4) of -log 3."""
    values = torch.tensor([0.0, 3.0, 1 / 3], dtype=torch.float64)
    values[1:] = values[1:].log()
    assert log_sigmoid(values).exp().tolist() == pytest.approx([0.5, 0.75, 0.25])


def test_a_graph_knows_how_absent_a_class_is(tmp_path: Path) -> None:
    """From probabilities of 1/2 to e^-40; onnxruntime's sigmoid is 0 for most of them."""

    class Absent(nn.Module):
        def forward(self, scores: Tensor) -> tuple[Tensor]:
            return (F.logsigmoid(scores),)

    graph = OnnxGraph(
        module=Absent(),
        inputs={"scores": {0: "batch"}},
        outputs=("logarithms",),
        example=lambda batch, _, count: (torch.linspace(-40, 0, batch * count).view(batch, count),),
        sizes=((3, 1, 400),),
    )
    write_onnx(graph, tmp_path / "net.onnx", size=(1, 400))
