from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.publishing.onnx import OnnxGraph, write_onnx
from swtformer.publishing.resizing import exact_bilinear

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
    for result, wanted in ((sized, exact[0]), (twice, exact[1])):
        assert (result - wanted).abs().max() < 2e-5
    assert (odd - exact[2]).abs().max() < 1e-2
