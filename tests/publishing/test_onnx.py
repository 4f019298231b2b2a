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
    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 0.001, bright \S+\)"):
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
    with pytest.raises(SwtformerError, match=r"differs from torch at 8×12 px \(small 1, bright \S+\)"):
        write_onnx(graph(Shrinks(), TippedOnce()), tmp_path / "net.onnx")
    reference = TippedOnce()
    write_onnx(replace(graph(Shrinks(), reference), draws=2), tmp_path / "net.onnx")
    assert reference.asked == 3


@pytest.mark.parametrize(
    ("size", "gap", "is_equal"),
    [
        (1.0, 0.9e-4, True),
        (1.0, 1.1e-4, False),
        (19.0, 1.2e-4, False),
        (100.0, 4e-4, True),
        (100.0, 6e-4, False),
    ],
)
def test_the_limit_grows_above_magnitudes_of_twenty(
    size: float, gap: float, is_equal: bool, tmp_path: Path
) -> None:
    class Scaled(Shrinks):
        def __init__(self, gap: float) -> None:
            super().__init__()
            self.gap = gap

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            _, bright = super().forward(images)
            return torch.ones_like(images) * size + self.gap, bright

    compared = graph(Scaled(0.0), Scaled(gap))
    if is_equal:
        write_onnx(compared, tmp_path / "net.onnx")
    else:
        with pytest.raises(SwtformerError, match="differs from torch"):
            write_onnx(compared, tmp_path / "net.onnx")


class Steep(nn.Module):
    """Resizes to multiples of 8 and has logits of about 10, on which float32 torch is 1e-3 off itself."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.head.weight, 10 / 3)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        height, width = images.shape[-2:]
        size = (height // 8 * 8, (width + 7) // 8 * 8)
        return (self.head(nn.functional.interpolate(2 * images - 1, size, mode="bilinear")),)


def steep(module: nn.Module, reference: nn.Module) -> OnnxGraph:
    compared = graph(module, reference)
    return replace(compared, outputs=("logits",), sizes=((1, 17, 3001),))


def test_the_rounding_of_torch_in_float32_is_not_the_files(tmp_path: Path) -> None:
    made = write_onnx(steep(Steep(), Steep()), tmp_path / "net.onnx")
    assert made.differences[1, 17, 3001]["logits"] < 1e-5
    assert made.float32_differences[1, 17, 3001]["logits"] > 1e-3


def test_a_file_with_one_wrong_weight_is_refused(tmp_path: Path) -> None:
    broken = Steep()
    with torch.no_grad():
        broken.head.weight[0, 1] += 1e-2
    with pytest.raises(
        SwtformerError, match=r"differs from torch at 17×3001 px \(logits 0\.009\d*\); nothing"
    ):
        write_onnx(steep(broken, Steep()), tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    class Cut(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            small, bright = super().forward(images)
            return small[..., 1:], bright

    with pytest.raises(SwtformerError, match=r"at 8×12 px \(small inf, bright \S+\)"):
        write_onnx(graph(Shrinks(), Cut()), tmp_path / "net.onnx")


def test_a_network_that_knows_no_float64_is_refused(tmp_path: Path) -> None:
    class Narrow(Shrinks):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(images @ torch.from_numpy(np.eye(images.shape[-1], dtype=np.float32)))

    with pytest.raises(SwtformerError, match="cannot be computed in float64, which tells rounding from"):
        write_onnx(graph(Shrinks(), Narrow()), tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


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
