"""Conformer: a CNN and a vision transformer side by side, which exchange features in every block.

Peng et al., Conformer: Local Features Coupling Global Representations for Visual Recognition, ICCV 2021,
doi:10.1109/ICCV48922.2021.00042; public code: github.com/pengzhiliang/Conformer (Apache-2.0), whose tensor
names the parameters carry. The pyramid has the maps of the CNN branch after each third of the blocks, at
strides 4, 8 and 16, and after the last block, whose closing convolution takes the map to stride 32. Without
this last stride (an output stride of 16), stage 4 has the grid of the tokens, as in TransCAM.

Departures from the public code:

- Images are resized (bilinear) to multiples of 16 px, at least 32; the code fails at other sizes, where the
  grids of both branches differ. At multiples of 16 both are equal.
- Attention is computed without its matrix unless the matrix is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    STRIDES,
    Backbone,
    Pyramid,
    check_images,
    for_bands,
    with_last_stride,
)
from swtformer.backbones.conformer_blocks import Block, ConvBlock, CoupledBlock
from swtformer.backbones.weights import load_into
from swtformer.errors import SwtformerError

PATCH_PX = 16
"""Side of a token in the image."""
STEM_CHANNELS = 64


@dataclass(frozen=True)
class ConformerShape:
    """Size of a Conformer.

    Attributes:
        channels: of the CNN branch in the first third of the blocks; they double with every third.
        width: of the tokens.
        heads: attention heads.
        depth: blocks, a multiple of 3.
    """

    channels: int
    width: int
    heads: int
    depth: int = 12


SHAPES: Mapping[str, ConformerShape] = {
    "conformer_nano": ConformerShape(32, 48, 3, depth=6),
    "conformer_tiny_patch16": ConformerShape(64, 384, 6),
    "conformer_small_patch16": ConformerShape(256, 384, 6),
    "conformer_base_patch16": ConformerShape(384, 576, 9),
}
"""Sizes by the authors' names; `conformer_nano` is for tests and training from scratch on small data sets."""

ALIASES: Mapping[str, str] = {
    "conformer_tiny": "conformer_tiny_patch16",
    "conformer_small": "conformer_small_patch16",
    "conformer_base": "conformer_base_patch16",
}

PUBLISHED: Mapping[str, str] = {
    "conformer_tiny_patch16": "conformer-tiny-p16_3rdparty_8xb128_in1k_20211206-f6860372.pth",
    "conformer_small_patch16": "conformer-small-p16_3rdparty_8xb128_in1k_20211206-3065dcf5.pth",
    "conformer_base_patch16": "conformer-base-p16_3rdparty_8xb128_in1k_20211206-bfdf8637.pth",
}
"""The authors' ImageNet-1k weights as mmpretrain publishes them."""
_PUBLISHED_AT = "https://download.openmmlab.com/mmclassification/v0/conformer"


@dataclass(frozen=True)
class Branches:
    """What both branches make of images.

    Attributes:
        pyramid: maps of the CNN branch.
        tokens: (B, 1 + h·w, D) tokens of the transformer branch after the final norm, the class token first.
        attention: a (B, 1 + h·w, 1 + h·w) matrix of every block that was asked for, its mean over the heads;
            the sum of a row is 1.
        grid: (h, w) of the tokens.
    """

    pyramid: Pyramid
    tokens: Tensor
    attention: tuple[Tensor, ...]
    grid: tuple[int, int]


class Conformer(Backbone):
    """Both branches; as a backbone, the CNN branch's.

    Attributes:
        depth: number of blocks.
        width: of the tokens.
        multiple_px: heights and widths are resized to multiples of this.
        trans_norm: the norm of the tokens, on which no map of the pyramid depends; it is not trained unless
            somebody uses the tokens and says so.
    """

    multiple_px = PATCH_PX

    def __init__(
        self,
        name: str,
        shape: ConformerShape,
        *,
        drop_path: float = 0.0,
        bands: int = 3,
        output_stride: int = 32,
    ) -> None:
        """Build with random weights, drawn as published.

        Args:
            name: name of the backbone.
            shape: its size.
            drop_path: stochastic depth rate of the last transformer block; rates rise linearly from 0.
            bands: channels of the images.
            output_stride: stride of the last map, 32 or 16.
        """
        super().__init__()
        self.name = name
        self.mean, self.std = for_bands(IMAGENET_MEAN, bands), for_bands(IMAGENET_STD, bands)
        self.strides = with_last_stride(output_stride)
        first, second, third = (shape.channels * factor for factor in (1, 2, 4))
        self.channels = (first, second, third, third)
        self.depth, self.width = shape.depth, shape.width
        self._last = (shape.depth // 3, shape.depth * 2 // 3, shape.depth - 1, shape.depth)
        rates = [drop_path * index / (shape.depth - 1) for index in range(shape.depth)]

        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.conv1 = nn.Conv2d(bands, STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv_1 = ConvBlock(STEM_CHANNELS, first, projects=True)
        self.trans_patch_conv = nn.Conv2d(STEM_CHANNELS, shape.width, PATCH_PX // 4, stride=PATCH_PX // 4)
        self.trans_1 = Block(shape.width, heads=shape.heads, drop_path=rates[0])
        before = first
        for index in range(2, shape.depth + 1):
            part = (index - 1) * 3 // shape.depth
            channels = (first, second, third)[part]
            block = CoupledBlock(
                before,
                channels,
                shape.width,
                heads=shape.heads,
                per_token=PATCH_PX // STRIDES[part],
                last_stride=output_stride // PATCH_PX if index == shape.depth else None,
                drop_path=rates[index - 1],
            )
            self.add_module(f"conv_trans_{index}", block)
            before = channels
        self.trans_norm = nn.LayerNorm(shape.width)
        self.trans_norm.requires_grad_(False)

        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Pyramid:
        """Maps of the CNN branch of normalised images (B, D, H, W); see `Backbone.forward`."""
        return self.branches(images).pyramid

    def branches(self, images: Tensor, *, attended: Sequence[int] = ()) -> Branches:
        """Maps of the CNN branch, tokens of the transformer branch, and attention.

        Args:
            images: (B, D, H, W), normalised.
            attended: blocks whose attention is kept, counted from 1.
        """
        check_images(images, len(self.mean))
        # In integers, and without a comparison of sizes, as exporters cannot trace these.
        size = [
            cast(int, torch.sym_max(2, (side + PATCH_PX // 2) // PATCH_PX)) * PATCH_PX
            for side in images.shape[-2:]
        ]
        images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        stem = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        maps, _ = self.conv_1(stem)
        patches = self.trans_patch_conv(stem)
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = torch.cat([self.cls_token.expand(images.shape[0], -1, -1), patches.flatten(2).mT], dim=1)
        tokens, attention = self.trans_1(tokens, attends=1 in attended)
        kept, stages = [attention], []
        for index, block in self._coupled():
            maps, tokens, attention = block(maps, tokens, attends=index in attended)
            kept.append(attention)
            if index in self._last:
                stages.append(maps)
        first, second, third, fourth = stages
        matrices = tuple(matrix for matrix in kept if matrix is not None)
        return Branches((first, second, third, fourth), self.trans_norm(tokens), matrices, grid)

    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Blocks per stage; stem and class token belong to the first, the tokens' norm to the last."""
        token = nn.ParameterList([self.cls_token])
        groups: tuple[list[nn.Module], ...] = (
            [token, self.conv1, self.bn1, self.conv_1, self.trans_patch_conv, self.trans_1],
            [],
            [],
            [self.trans_norm],
        )
        for index, block in self._coupled():
            groups[sum(index > last for last in self._last)].append(block)
        return groups

    def _coupled(self) -> Iterator[tuple[int, CoupledBlock]]:
        """The blocks of both branches by number, from the second."""
        for index in range(2, self.depth + 1):
            yield index, cast(CoupledBlock, self.get_submodule(f"conv_trans_{index}"))


def published_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint with the authors' names, without the classifiers of both branches.

    Understands the names of mmpretrain, whose transformer blocks have others.
    """
    blocks = {"ln1": "norm1", "ln2": "norm2", "ffn.layers.0.0": "mlp.fc1", "ffn.layers.1": "mlp.fc2"}

    def rename(name: str) -> str:
        owner, dot, rest = name.partition("trans_1." if name.startswith("trans_1.") else ".trans_block.")
        for theirs, own in blocks.items():
            if rest.startswith(theirs + "."):
                return owner + dot + own + rest.removeprefix(theirs)
        return name

    heads = ("conv_cls_head.", "trans_cls_head.")
    return {rename(name): tensor for name, tensor in tensors.items() if not name.startswith(heads)}


def known_names() -> list[str]:
    """All names for which `create_backbone` builds a Conformer."""
    return sorted(chain(SHAPES, ALIASES))


def create_conformer(
    name: str, *, weights: str, drop_path: float = 0.0, bands: int = 3, output_stride: int = 32
) -> Conformer:
    """A Conformer by name.

    Args:
        name: one of `known_names`.
        weights: "none", or a file with the names of the authors or of mmpretrain.
        drop_path: stochastic depth rate of the last block.
        bands: channels of the images.
        output_stride: stride of the last map, 32 or 16.

    Raises:
        SwtformerError: the output stride is another one; or `weights` is "pretrained", as the weights are not
            on the hub; the message says where they are.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    architecture = ALIASES.get(name, name)
    if output_stride not in (32, PATCH_PX):
        raise SwtformerError(
            f"Backbone {name!r} has its last stage at stride 32 or {PATCH_PX}, not {output_stride}; set "
            f"model.output_stride to one of them."
        )
    if weights == "pretrained":
        raise SwtformerError(_not_on_the_hub(architecture))
    conformer = Conformer(
        name, SHAPES[architecture], drop_path=drop_path, bands=bands, output_stride=output_stride
    )
    conformer.keeps_batch_statistics = weights != "none"
    load_into(conformer, weights, name=name, rename=published_names)
    return conformer


def _not_on_the_hub(architecture: str) -> str:
    start = f"No pretrained weights of backbone {architecture!r} are on the hub"
    if architecture not in PUBLISHED:
        return f"{start}: give model.weights none or a local file."
    return (
        f"{start}. Download {_PUBLISHED_AT}/{PUBLISHED[architecture]}, or the authors' file that "
        "github.com/pengzhiliang/Conformer links to, and give model.weights FILE; or train from random "
        "weights with model.weights none."
    )
