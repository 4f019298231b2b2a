"""ResNet-38d: blocks against convolutions in NumPy, and what published files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swtformer.backbones import create_backbone
from swtformer.backbones.resnet38d import (
    SHAPES,
    Block,
    BottleneckBlock,
    ResNet38d,
    known_names,
    published_names,
    torch_name,
)
from swtformer.errors import CheckpointError, SwtformerError


def convolved(maps: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """A convolution of (C, h, w) maps, place by place."""
    weight = layer.weight.detach().numpy()
    stride, pad, step = layer.stride[0], layer.padding[0], layer.dilation[0]
    maps = np.pad(maps, ((0, 0), (pad, pad), (pad, pad)))
    reach = step * (weight.shape[-1] - 1) + 1
    height, width = ((side - reach) // stride + 1 for side in maps.shape[1:])
    made = np.zeros((len(weight), height, width))
    for y in range(height):
        for x in range(width):
            rows, columns = y * stride, x * stride
            seen = maps[:, rows : rows + reach : step, columns : columns + reach : step]
            made[:, y, x] = (weight * seen).sum((1, 2, 3))
    return made


def activated(maps: np.ndarray, norm: nn.BatchNorm2d) -> np.ndarray:
    """Batch norm by its statistics, and the positive part."""
    mean, var, weight, bias = (
        item.detach().numpy()[:, None, None]
        for item in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return np.maximum((maps - mean) / np.sqrt(var + 1e-5) * weight + bias, 0)


def drawn(block: nn.Module) -> nn.Module:
    """Statistics, scales and offsets that are not those of a new batch norm."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for item in (module.running_mean, module.weight.data, module.bias.data):
                item.normal_()
            module.running_var.uniform_(0.5, 2)
    return block.eval()


def made_by(block: Block | BottleneckBlock, maps: Tensor) -> np.ndarray:
    with torch.no_grad():
        return block(maps, block.entry(maps))[0].numpy()


@pytest.mark.parametrize(
    ("width", "stride", "first_dilation", "dilation"), [(4, 1, None, 1), (6, 2, None, 1), (6, 1, 1, 2)]
)
def test_a_block(width: int, stride: int, first_dilation: int | None, dilation: int) -> None:
    torch.manual_seed(0)
    block = Block(4, 5, width, stride=stride, first_dilation=first_dilation, dilation=dilation)
    drawn(block)
    maps = torch.randn(1, 4, 9, 7)
    entry = activated(maps[0].numpy(), block.bn_branch2a)
    inner = activated(convolved(entry, block.conv_branch2a), block.bn_branch2b1)
    same = width == 4 and stride == 1
    beside = maps[0].numpy() if same else convolved(entry, block.conv_branch1)
    expected = beside + convolved(inner, block.conv_branch2b1)
    np.testing.assert_allclose(made_by(block, maps), expected, atol=1e-4)


def test_a_bottleneck_block() -> None:
    torch.manual_seed(0)
    block = BottleneckBlock(6, 8, dilation=4, dropout=0.5)
    drawn(block)
    maps = torch.randn(1, 6, 9, 7)
    entry = activated(maps[0].numpy(), block.bn_branch2a)
    inner = activated(convolved(entry, block.conv_branch2a), block.bn_branch2b1)
    inner = activated(convolved(inner, block.conv_branch2b1), block.bn_branch2b2)
    expected = convolved(entry, block.conv_branch1) + convolved(inner, block.conv_branch2b2)
    np.testing.assert_allclose(made_by(block, maps), expected, atol=1e-4)


def test_tensors_have_the_published_names_and_shapes() -> None:
    """Fifteen blocks of two convolutions, four of which have a third; b6 and b7 have four each."""
    with torch.device("meta"):
        state = ResNet38d("resnet38d", SHAPES["resnet38d"]).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    convolutions = [name for name in shapes if "conv" in name]
    assert len(convolutions) == 1 + 15 * 2 + 4 + 2 * 4
    assert sum(name.endswith("running_var") for name in shapes) == 15 * 2 + 2 * 3 + 1
    assert shapes["conv1a.weight"] == (64, 3, 3, 3)
    assert shapes["b2_2.conv_branch2b1.weight"] == (128, 128, 3, 3)
    assert shapes["b4.conv_branch1.weight"] == (512, 256, 1, 1)
    assert shapes["b5.conv_branch2a.weight"] == (512, 512, 3, 3)
    assert shapes["b5_2.conv_branch2a.weight"] == (512, 1024, 3, 3)
    assert shapes["b6.conv_branch2b1.weight"] == (1024, 512, 3, 3)
    assert shapes["b7.conv_branch2b2.weight"] == (4096, 2048, 1, 1)
    assert shapes["bn7.running_mean"] == (4096,)
    assert "b4_5.bn_branch2b1.bias" in shapes
    assert "b4_6.bn_branch2b1.bias" not in shapes


@pytest.mark.parametrize(
    ("mxnet", "torch_"),
    [
        ("arg:conv1a_weight", "conv1a.weight"),
        ("arg:res2a_branch1_weight", "b2.conv_branch1.weight"),
        ("arg:res4b5_branch2b1_weight", "b4_5.conv_branch2b1.weight"),
        ("arg:bn7_gamma", "bn7.weight"),
        ("aux:bn7_moving_var", "bn7.running_var"),
        ("arg:bn6a_branch2b2_beta", "b6.bn_branch2b2.bias"),
        ("aux:bn3b1_branch2a_moving_mean", "b3_1.bn_branch2a.running_mean"),
        ("b3_1.bn_branch2a.running_mean", "b3_1.bn_branch2a.running_mean"),
        ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
    ],
)
def test_names_of_mxnet(mxnet: str, torch_: str) -> None:
    assert torch_name(mxnet) == torch_


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_of_a_method_loads_without_its_head(tmp_path: Path, prefix: str) -> None:
    state = drawn(create_backbone("resnet38d_nano", weights="none")).state_dict()
    heads = {
        "fc8.weight": torch.zeros(21, 256, 1, 1),
        "f8_3.weight": torch.zeros(1),
        "f9.weight": torch.ones(1),
    }
    assert published_names(state | heads).keys() == state.keys()
    torch.save({prefix + name: tensor for name, tensor in (state | heads).items()}, tmp_path / "seam.pth")
    loaded = create_backbone("resnet38d_nano", weights=tmp_path / "seam.pth")
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.keeps_batch_statistics
    assert not create_backbone("resnet38d_nano", weights="none").keeps_batch_statistics


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="does not fit resnet38d_nano"):
        create_backbone("resnet38d_nano", weights=tmp_path / "other.pth")


def test_pretrained_weights_are_refused_with_their_source() -> None:
    with pytest.raises(
        SwtformerError, match=r"YudeWang/SEAM.*model\.weights ilsvrc.*\.params; or train"
    ) as no:
        create_backbone("resnet38d")
    assert no.value.exit_code == 2
    with pytest.raises(
        SwtformerError, match=r"'resnet38d_nano' are on no server.* Train from random weights"
    ):
        create_backbone("resnet38d_nano")


def test_channels_are_dropped_in_training_alone() -> None:
    torch.manual_seed(0)
    backbone = create_backbone("resnet38d_nano", weights="none")
    backbone.keeps_batch_statistics = True
    images = torch.randn(1, 3, 32, 40)
    with torch.no_grad():
        first, second = (backbone.train()(images) for _ in range(2))
        assert torch.equal(first[2], second[2])
        assert not torch.equal(first[3], second[3])
        assert torch.equal(backbone.eval()(images)[3], backbone(images)[3])
    assert (backbone.b6.dropout_2b1.p, backbone.b7.dropout_2b2.p) == (0.3, 0.5)


def test_a_misspelt_name_finds_it() -> None:
    assert known_names() == ["resnet38d", "resnet38d_nano"]
    with pytest.raises(SwtformerError, match="Did you mean 'resnet38d'"):
        create_backbone("resnet38dd", weights="none")


def test_other_bands(tmp_path: Path) -> None:
    torch.save(create_backbone("resnet38d_nano", weights="none").state_dict(), tmp_path / "rgb.pth")
    backbone = create_backbone("resnet38d_nano", weights=tmp_path / "rgb.pth", bands=5)
    assert backbone(torch.zeros(1, 5, 32, 32))[0].shape == (1, 32, 8, 8)
