"""ONNX files of any torch network: compared before they are written; our own are those of test_graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from swtformer.errors import SwtformerError
from swtformer.publishing.onnx import OnnxGraph, write_onnx


class Shrinks(nn.Module):
    """Averages 2×2 pixels and counts what is bright."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        small = nn.functional.avg_pool2d(images, 2)
        return small, (images > 0.5).float().mean((1, 2, 3))


def graph(module: nn.Module, reference: nn.Module | None = None) -> OnnxGraph:
    return OnnxGraph(
        module=module.eval(),
        inputs={"images": {0: "batch", 2: "height", 3: "width"}},
        outputs=("small", "bright"),
        example=lambda batch, height, width: (torch.rand(batch, 3, height, width),),
        sizes=((2, 8, 12), (1, 31, 17)),
        reference=reference,
        metadata={"classes": "[]"},
    )


def test_any_network_with_named_inputs_and_outputs(tmp_path: Path) -> None:
    result = write_onnx(graph(Shrinks()), tmp_path / "a" / "net.onnx")
    assert result.path == tmp_path / "a" / "net.onnx"
    assert set(result.differences) == {(2, 8, 12), (1, 31, 17)}
    assert max(max(gaps.values()) for gaps in result.differences.values()) < 1e-6
    session = onnxruntime.InferenceSession(result.path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map == {"classes": "[]"}
    images = np.random.default_rng(0).random((3, 3, 10, 6), dtype=np.float32)
    small, _ = session.run(["small", "bright"], {"images": images})
    np.testing.assert_allclose(small, images.reshape(3, 3, 5, 2, 3, 2).mean((3, 5)), rtol=1e-5)


def test_a_network_that_differs_is_not_written(tmp_path: Path) -> None:
    class Other(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            small, bright = super().forward(images)
            return small + 1e-3, bright

    path = tmp_path / "net.onnx"
    path.write_text("what was there")
    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 0.001, bright 0\)"):
        write_onnx(graph(Shrinks(), Other()), path)
    assert path.read_text() == "what was there"


class TippedOnce(Shrinks):
    """Differs the first time that it is asked, as a choice between equals can."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        small, bright = super().forward(images)
        return (small + 1 if self.asked == 1 else small), bright


def test_only_a_graph_that_chooses_may_be_drawn_again(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 1, bright 0\)"):
        write_onnx(graph(Shrinks(), TippedOnce()), tmp_path / "net.onnx")
    reference = TippedOnce()
    write_onnx(replace(graph(Shrinks(), reference), draws=2), tmp_path / "net.onnx")
    assert reference.asked == 3


@pytest.mark.parametrize(("size", "is_equal"), [(1.0, False), (100.0, True)])
def test_the_limit_is_relative_above_one(size: float, is_equal: bool, tmp_path: Path) -> None:
    class Scaled(Shrinks):
        def __init__(self, gap: float) -> None:
            super().__init__()
            self.gap = gap

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            _, bright = super().forward(images)
            return torch.ones_like(images) * size + self.gap, bright

    compared = graph(Scaled(0.0), Scaled(2e-4))
    if is_equal:
        write_onnx(compared, tmp_path / "net.onnx")
    else:
        with pytest.raises(SwtformerError, match="differs from torch"):
            write_onnx(compared, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("name", "message"),
    [("", r"is a folder; name a file in it, such as .*model\.onnx"), ("net.pt", r"must end in \.onnx")],
)
def test_a_name_that_cannot_be_written_is_refused_at_once(name: str, message: str, tmp_path: Path) -> None:
    class Untouched(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("was traced")

    with pytest.raises(SwtformerError, match=message):
        write_onnx(graph(Untouched()), tmp_path / name)


def test_a_network_that_cannot_be_followed(tmp_path: Path) -> None:
    class Looks(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            if images.mean().item() > 0.5:
                images = images + 1
            return super().forward(images)

    with pytest.raises(
        SwtformerError, match=r"cannot follow this network: .* Fix the size of the images with --size"
    ):
        write_onnx(graph(Looks()), tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())
