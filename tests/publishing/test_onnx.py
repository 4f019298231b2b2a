"""ONNX files of any torch network: compared before they are written. Our own networks are in test_export."""

from __future__ import annotations

from collections.abc import Callable
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


class ExportsWrongly(Shrinks):
    """Changes the first output in the exported file alone, as a fault of an exporter would."""

    def __init__(self, change: Callable[[Tensor], Tensor], size: float = 1.0) -> None:
        super().__init__()
        self.change, self.size = change, size

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        small, bright = super().forward(images)
        small = small.clamp(1, 1) * self.size
        return (self.change(small) if torch.compiler.is_exporting() else small), bright


def graph(module: nn.Module) -> OnnxGraph:
    return OnnxGraph(
        module=module,
        inputs={"images": {0: "batch", 2: "height", 3: "width"}},
        outputs=("small", "bright"),
        example=lambda batch, height, width: (torch.rand(batch, 3, height, width),),
        compared=((2, 8, 12), (1, 31, 17)),
        metadata={"classes": "[]"},
    )


def test_any_network_with_named_inputs_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "a" / "net.onnx"
    differences = write_onnx(graph(Shrinks()), path)
    assert set(differences) == {(2, 8, 12), (1, 31, 17)}
    assert max(max(gaps.values()) for gaps in differences.values()) < 1e-6
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map == {"classes": "[]"}
    images = np.random.default_rng(0).random((3, 3, 10, 6), dtype=np.float32)
    small, _ = session.run(["small", "bright"], {"images": images})
    np.testing.assert_allclose(small, images.reshape(3, 3, 5, 2, 3, 2).mean((3, 5)), rtol=1e-5)


@pytest.mark.parametrize(("size", "gap", "agrees"), [(1, 9e-4, True), (1, 1.1e-3, False), (100, 0.09, True)])
def test_a_file_that_differs_is_not_written(size: float, gap: float, agrees: bool, tmp_path: Path) -> None:
    """A thousandth is the limit; above magnitudes of 1, a thousandth of the largest."""
    path = tmp_path / "net.onnx"
    path.write_text("what was there")
    compared = graph(ExportsWrongly(lambda small: small + gap, size))
    if agrees:
        assert write_onnx(compared, path)[2, 8, 12]["small"] == pytest.approx(gap, rel=0.01)
        return
    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 0\.0011, "):
        write_onnx(compared, path)
    assert path.read_text() == "what was there"


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"at 8×12 px \(small inf, bright \S+\)"):
        write_onnx(graph(ExportsWrongly(lambda small: small[..., 1:])), tmp_path / "net.onnx")


def test_only_a_graph_that_chooses_may_be_drawn_again(tmp_path: Path) -> None:
    class TippedOnce(Shrinks):
        """Differs the first time that it is asked, as a choice between equals can."""

        asked = 0

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            small, bright = super().forward(images)
            if torch.compiler.is_exporting():
                return small, bright
            TippedOnce.asked += 1
            return (small + 1 if TippedOnce.asked == 1 else small), bright

    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 1, bright \S+\)"):
        write_onnx(graph(TippedOnce()), tmp_path / "net.onnx")
    TippedOnce.asked = 0
    write_onnx(replace(graph(TippedOnce()), draws=2), tmp_path / "net.onnx")
    assert TippedOnce.asked == 3


def test_a_network_that_cannot_be_followed(tmp_path: Path) -> None:
    class Looks(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            if images.mean().item() > 0.5:
                images = images + 1
            return super().forward(images)

    with pytest.raises(SwtformerError, match=r"cannot follow this network: .* Fix the size"):
        write_onnx(graph(Looks()), tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


def test_a_network_that_no_file_can_hold(tmp_path: Path) -> None:
    network = Shrinks()
    network.register_buffer("big", torch.zeros(1, device="meta").expand(2**29))
    with pytest.raises(SwtformerError, match="larger than the 2 GB"):
        write_onnx(graph(network), tmp_path / "net.onnx")
