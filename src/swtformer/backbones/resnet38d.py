"""ResNet-38d, the backbone of PSA, SEAM and SC-CAM: wide, shallow, and at stride 8 from its third stage on.

Wu, Shen and van den Hengel, Wider or Deeper: Revisiting the ResNet Model for Visual Recognition, Pattern
Recognition 2019, doi:10.1016/j.patcog.2019.01.006 (model A1), with the dilations of Ahn and Kwak, CVPR 2018,
doi:10.1109/CVPR.2018.00523. Tensors have the names of the public code of these, so that its files load.

Its blocks begin with batch norm and ReLU. As in that code, the map of a stage is what the next stage's first
block makes of it by these, and they belong to the stage. Departures: that code trains neither the scales and
offsets of batch norm nor, in SEAM and PSA, its first convolution and `b2`; here `train.freeze_stages` takes
whole stages out of training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Pyramid, check_images, for_bands
from swtformer.backbones.weights import load_into
from swtformer.errors import SwtformerError

PUBLISHED = "ilsvrc-cls_rna-a1_cls1000_ep-0001.params"
"""File with the published weights, of MXNet."""
DROPOUT = {"b6": 0.3, "b7": 0.5}
"""Rates of the channel dropout in the last two blocks."""
OPENING = ("b4", "b5", "b6")
"""The first blocks of stages 2, 3 and 4."""
HEADS = ("fc8", "f8_", "f9", "linear1000")
"""How the names of layers that published files hold beside the backbone begin."""


@dataclass(frozen=True)
class ResNet38Shape:
    """Size of a ResNet-38d.

    Attributes:
        stem: channels of the first convolution.
        widths: channels after the blocks b2 to b7.
        depths: blocks of b2 to b5; b6 and b7 are one each.
    """

    stem: int
    widths: tuple[int, int, int, int, int, int]
    depths: tuple[int, int, int, int]


SHAPES: Mapping[str, ResNet38Shape] = {
    "resnet38d": ResNet38Shape(64, (128, 256, 512, 1024, 2048, 4096), (3, 3, 6, 3)),
    "resnet38d_nano": ResNet38Shape(16, (16, 32, 64, 96, 128, 256), (1, 1, 2, 1)),
}
"""Sizes by name; `resnet38d_nano` (0.5 M parameters) is ours, for tests and small data sets."""


class ResNet38d(Backbone):
    """ResNet-38d; its maps are those that SEAM's code calls conv3, conv4, conv5 and conv6."""

    strides = (4, 8, 8, 8)

    def __init__(self, name: str, shape: ResNet38Shape, *, bands: int = 3) -> None:
        """Build with random weights.

        Args:
            name: name of the backbone.
            shape: its size.
            bands: channels of the images.
        """
        super().__init__()
        self.name = name
        self.mean, self.std = for_bands(IMAGENET_MEAN, bands), for_bands(IMAGENET_STD, bands)
        b2, b3, b4, b5, b6, b7 = shape.widths
        self.channels = (b3, b4, b5, b7)
        self.conv1a = nn.Conv2d(bands, shape.stem, 3, padding=1, bias=False)
        blocks: dict[str, PreActivation] = {}
        for level, before, width, depth in zip(
            ("b2", "b3", "b4"), (shape.stem, b2, b3), (b2, b3, b4), shape.depths, strict=False
        ):
            blocks[level] = Block(before, width, width, stride=2)
            blocks |= {f"{level}_{index}": Block(width, width, width) for index in range(1, depth)}
        blocks["b5"] = Block(b4, b4, b5, first_dilation=1, dilation=2)
        blocks |= {f"b5_{index}": Block(b5, b4, b5, dilation=2) for index in range(1, shape.depths[3])}
        blocks["b6"] = BottleneckBlock(b5, b6, dilation=4, dropout=DROPOUT["b6"])
        blocks["b7"] = BottleneckBlock(b6, b7, dilation=4, dropout=DROPOUT["b7"])
        for own, block in blocks.items():
            self.add_module(own, block)
        self._blocks = tuple(blocks)
        self.bn7 = nn.BatchNorm2d(b7)

    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images (B, D, H, W); see `Backbone.forward`."""
        check_images(images, len(self.mean))
        maps = self.conv1a(images)
        stages = []
        for name in self._blocks:
            block = cast(PreActivation, self.get_submodule(name))
            entry = block.entry(maps)
            if name in OPENING:
                stages.append(entry)
            maps = block(maps, entry)
        first, second, third = stages
        return first, second, third, F.relu(self.bn7(maps))

    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Modules per stage; the batch norm with which a stage's first block begins is of the one before."""
        stages: tuple[list[nn.Module], ...] = ([self.conv1a], [], [], [])
        stage = 0
        for name in self._blocks:
            block = cast(PreActivation, self.get_submodule(name))
            if name in OPENING:
                stages[stage].append(block.bn_branch2a)
                stage += 1
                stages[stage].extend(each for each in block.children() if each is not block.bn_branch2a)
            else:
                stages[stage].append(block)
        stages[3].append(self.bn7)
        return stages


class PreActivation(nn.Module):
    """A residual block that begins with batch norm and ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn_branch2a = nn.BatchNorm2d(channels)

    def entry(self, maps: Tensor) -> Tensor:
        """What the block's convolutions see, (B, channels, h, w)."""
        return F.relu(self.bn_branch2a(maps))


class Block(PreActivation):
    """Two 3×3 convolutions beside the identity, or beside a 1×1 convolution where the shape changes."""

    def __init__(
        self,
        channels: int,
        middle: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        first_dilation: int | None = None,
    ) -> None:
        super().__init__(channels)
        first_dilation = dilation if first_dilation is None else first_dilation
        self.conv_branch2a = nn.Conv2d(
            channels, middle, 3, stride, padding=first_dilation, dilation=first_dilation, bias=False
        )
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = nn.Conv2d(middle, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.keeps_shape = channels == width and stride == 1
        if not self.keeps_shape:
            self.conv_branch1 = nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, maps: Tensor, entry: Tensor) -> Tensor:
        """(B, channels, h, w) maps and what `entry` makes of them to (B, width, h', w')."""
        beside = maps if self.keeps_shape else self.conv_branch1(entry)
        made: Tensor = beside + self.conv_branch2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(entry))))
        return made


class BottleneckBlock(PreActivation):
    """1×1, dilated 3×3 and 1×1 convolutions with channel dropout, beside a 1×1 convolution."""

    def __init__(self, channels: int, width: int, *, dilation: int, dropout: float) -> None:
        super().__init__(channels)
        self.conv_branch2a = nn.Conv2d(channels, width // 4, 1, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(width // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(
            width // 4, width // 2, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.bn_branch2b2 = nn.BatchNorm2d(width // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(width // 2, width, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(channels, width, 1, bias=False)

    def forward(self, maps: Tensor, entry: Tensor) -> Tensor:
        """As `Block.forward`; the maps themselves are seen through `entry` alone."""
        inner = self.conv_branch2b1(self.dropout_2b1(F.relu(self.bn_branch2b1(self.conv_branch2a(entry)))))
        inner = self.conv_branch2b2(self.dropout_2b2(F.relu(self.bn_branch2b2(inner))))
        made: Tensor = self.conv_branch1(entry) + inner
        return made


def known_names() -> list[str]:
    """All names for which `create_backbone` builds a ResNet-38d."""
    return sorted(SHAPES)


def published_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published file with the names of this module, without what belongs to a head.

    Args:
        tensors: by the names of PSA's and SEAM's code, or of MXNet (`arg:res3b1_branch2a_weight`).
    """
    return {
        torch_name(name): tensor
        for name, tensor in tensors.items()
        if not name.split(":")[-1].startswith(HEADS)
    }


def torch_name(name: str) -> str:
    """Name of a tensor in PSA's and SEAM's code from that in MXNet; others as they are."""
    kinds = {"beta": "bias", "gamma": "weight", "moving_mean": "running_mean", "moving_var": "running_var"}
    found = re.fullmatch(
        r"(?:arg:|aux:)?(?:conv1a|(?P<layer>res|bn)(?P<stage>\d)(?:a|b(?P<index>\d+))?(?:_(?P<branch>branch\w+?))?)"
        r"_(?P<kind>weight|beta|gamma|moving_mean|moving_var)",
        name,
    )
    if found is None:
        return name
    kind = kinds.get(found["kind"], found["kind"])
    if found["layer"] is None:
        return f"conv1a.{kind}"
    if found["branch"] is None:
        return f"bn{found['stage']}.{kind}"
    block = f"b{found['stage']}" + (f"_{found['index']}" if found["index"] else "")
    return f"{block}.{'conv' if found['layer'] == 'res' else 'bn'}_{found['branch']}.{kind}"


def create_resnet38d(name: str, *, weights: str, bands: int = 3) -> ResNet38d:
    """A ResNet-38d by name.

    Args:
        name: one of `known_names`.
        weights: "none", or a file: `PUBLISHED` of MXNet, or .pth or .safetensors with the names of PSA's and
            SEAM's code. Layers of a head are left out.
        bands: channels of the images.

    Raises:
        SwtformerError: the weights are not available; no server has them in a form that could be fetched.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    if weights == "pretrained":
        published = (
            f"Download {PUBLISHED} by the link in the README of github.com/YudeWang/SEAM or "
            f"github.com/jiwoon-ahn/psa and give model.weights {PUBLISHED}; or train"
        )
        raise SwtformerError(
            f"The weights of backbone {name!r} are on no server that they could be fetched from. "
            f"{published if name == 'resnet38d' else 'Train'} from random weights with model.weights none."
        )
    backbone = ResNet38d(name, SHAPES[name], bands=bands)
    backbone.keeps_batch_statistics = weights != "none"
    load_into(backbone, weights, name=name, rename=published_names)
    return backbone
