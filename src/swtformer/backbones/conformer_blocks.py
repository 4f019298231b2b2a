"""The blocks of Conformer: a bottleneck of convolutions and a transformer block, coupled in both directions.

`conformer` has the source; the names of the parameters are those of its public code.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

EXPANSION = 4
"""Channels of a bottleneck over those of its 3×3 convolution, and of an MLP over its tokens."""

EPSILON = 1e-6
"""Of all norms in the blocks; those of the stem and behind the last block have torch's own, as published."""


class CoupledBlock(nn.Module):
    """A block of each branch: convolution → tokens → attention → convolution.

    Args:
        given: channels of the maps before it.
        channels: of its maps; twice as many at half the resolution, or as many at the same.
        width: of the tokens.
        heads: attention heads.
        per_token: side of a token on the grid of its maps.
        last_stride: stride of the closing convolution of the last block; None in the others.
        drop_path: stochastic depth rate of the transformer block.
    """

    def __init__(
        self,
        given: int,
        channels: int,
        width: int,
        *,
        heads: int,
        per_token: int,
        last_stride: int | None,
        drop_path: float,
    ) -> None:
        super().__init__()
        halves = channels != given
        self.cnn_block = ConvBlock(given, channels, stride=2 if halves else 1, projects=halves)
        self.fusion_block = ConvBlock(
            channels, channels, stride=last_stride or 1, projects=last_stride is not None
        )
        self.squeeze_block = Squeeze(channels // EXPANSION, width, per_token)
        self.expand_block = Expand(width, channels // EXPANSION, per_token)
        self.trans_block = Block(width, heads=heads, drop_path=drop_path)

    def forward(self, maps: Tensor, tokens: Tensor, *, attends: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Maps (B, C, h, w) and tokens (B, 1 + N, D) to those of the next block, and attention if asked."""
        maps, inner = self.cnn_block(maps)
        from_maps = self.squeeze_block(inner)
        grid = from_maps.shape[-2:]
        class_token = tokens[:, :1]  # it has no place in the maps and is added to itself, as published
        tokens = tokens + torch.cat([class_token, from_maps.flatten(2).mT], dim=1)
        tokens, attention = self.trans_block(tokens, attends=attends)
        from_tokens = self.expand_block(tokens[:, 1:].mT.unflatten(2, grid))
        maps, _ = self.fusion_block(maps, from_tokens)
        return maps, tokens, attention


class ConvBlock(nn.Module):
    """A bottleneck of three convolutions with a residual connection.

    Args:
        given: channels of its input.
        channels: of its output.
        stride: of the 3×3 convolution.
        projects: whether the residual connection has a convolution.
    """

    def __init__(self, given: int, channels: int, *, stride: int = 1, projects: bool = False) -> None:
        super().__init__()
        inner = channels // EXPANSION
        self.conv1 = nn.Conv2d(given, inner, 1, bias=False)
        self.bn1 = _batch_norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = _batch_norm(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn3 = _batch_norm(channels)
        self.projects = projects
        if projects:
            self.residual_conv = nn.Conv2d(given, channels, 1, stride=stride, bias=False)
            self.residual_bn = _batch_norm(channels)

    def forward(self, maps: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Its output, and the maps of its 3×3 convolution; `added` is added to what that one sees."""
        inner = F.relu(self.bn1(self.conv1(maps)))
        inner = F.relu(self.bn2(self.conv2(inner if added is None else inner + added)))
        residual = self.residual_bn(self.residual_conv(maps)) if self.projects else maps
        return F.relu(self.bn3(self.conv3(inner)) + residual), inner


class Squeeze(nn.Module):
    """Maps of a convolution to what the tokens are told, on their grid (feature coupling unit, down)."""

    def __init__(self, channels: int, width: int, per_token: int) -> None:
        super().__init__()
        self.conv_project = nn.Conv2d(channels, width, 1)
        self.pool = nn.AvgPool2d(per_token)
        self.ln = _layer_norm(width)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h·k, w·k) to (B, D, h, w)."""
        pooled = self.pool(self.conv_project(maps)).permute(0, 2, 3, 1)
        return F.gelu(self.ln(pooled)).permute(0, 3, 1, 2)


class Expand(nn.Module):
    """Tokens to what the maps are told, each repeated over its place (feature coupling unit, up)."""

    def __init__(self, width: int, channels: int, per_token: int) -> None:
        super().__init__()
        self.per_token = per_token
        self.conv_project = nn.Conv2d(width, channels, 1)
        self.bn = _batch_norm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, D, h, w) to (B, C, h·k, w·k)."""
        maps = F.relu(self.bn(self.conv_project(tokens)))
        return F.interpolate(maps, scale_factor=float(self.per_token), mode="nearest")


class Block(nn.Module):
    """Self-attention and an MLP, each with a norm before it and a residual connection."""

    def __init__(self, width: int, *, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = _layer_norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = _layer_norm(width)
        self.mlp = Mlp(width, EXPANSION * width)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, tokens: Tensor, *, attends: bool) -> tuple[Tensor, Tensor | None]:
        """(B, N, D) to the same shape, and the (B, N, N) mean attention if asked."""
        mixed, attention = self.attn(self.norm1(tokens), attends=attends)
        tokens = tokens + self.drop_path(mixed)
        return tokens + self.drop_path(self.mlp(self.norm2(tokens))), attention


class Attention(nn.Module):
    """Self-attention between all tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, *, attends: bool) -> tuple[Tensor, Tensor | None]:
        """(B, N, D) to the same shape, and the attention's mean over the heads if asked."""
        projected = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind(0)
        attention = None
        if attends:
            matrix = (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1)
            mixed, attention = matrix.to(value.dtype) @ value, matrix.mean(1)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2)), attention


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _layer_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=EPSILON)
