"""Swin Transformer (arXiv:2103.14030) at any input size; METHOD 4, "Swin at any size".

At 224 px it equals the published networks. At sizes where windows do not fit the grid, at which these were
never trained, it departs from the published code in three ways:

- The grid is padded at its bottom and right, *then* rolled, and padding is masked: tokens attend only to real
  tokens of their own region. (Rolling first mixes opposite borders; without the mask, border tokens attend to
  zeros.)
- A side of the grid that fits in one window is one window of exactly that length, with the same relative
  positions and without a shift.
- Where the image is not a multiple of the patch, or a grid is odd before merging, the last row or column is
  repeated. Zeros would be an edge that the image does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from swtformer.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Pyramid, check_images, for_bands
from swtformer.backbones.weights import load_into
from swtformer.backbones.window_attention import WindowAttention, goes_in_parts, tokens_at_once

PATCH_PX = 4


@dataclass(frozen=True)
class SwinShape:
    """Size of a Swin.

    Attributes:
        embed_dim: channels of stage 1; they double at every stage.
        depths: blocks per stage.
        heads: attention heads per stage.
        windows: side of the attention window per stage, in tokens.
    """

    embed_dim: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    windows: tuple[int, int, int, int] = (7, 7, 7, 7)

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels per stage."""
        return (self.embed_dim, 2 * self.embed_dim, 4 * self.embed_dim, 8 * self.embed_dim)


SHAPES: Mapping[str, SwinShape] = {
    "swin_nano": SwinShape(32, (2, 2, 4, 2), (1, 2, 4, 8)),
    "swin_tiny_patch4_window7_224": SwinShape(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_small_patch4_window7_224": SwinShape(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin_base_patch4_window7_224": SwinShape(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "swin_base_patch4_window12_384": SwinShape(128, (2, 2, 18, 2), (4, 8, 16, 32), (12, 12, 12, 12)),
    "swin_large_patch4_window7_224": SwinShape(192, (2, 2, 18, 2), (6, 12, 24, 48)),
    "swin_large_patch4_window12_384": SwinShape(192, (2, 2, 18, 2), (6, 12, 24, 48), (12, 12, 12, 12)),
    "swin_s3_tiny_224": SwinShape(96, (2, 2, 6, 2), (3, 6, 12, 24), (7, 7, 14, 7)),
    "swin_s3_small_224": SwinShape(96, (2, 2, 18, 2), (3, 6, 12, 24), (14, 14, 14, 7)),
    "swin_s3_base_224": SwinShape(96, (2, 2, 30, 2), (3, 6, 12, 24), (7, 7, 14, 7)),
}
"""Sizes by timm's names; `swin_nano` (2.7 M parameters) is for training from scratch on small data sets."""

ALIASES: Mapping[str, str] = {
    "swin_tiny": "swin_tiny_patch4_window7_224",
    "swin_small": "swin_small_patch4_window7_224",
    "swin_base": "swin_base_patch4_window7_224",
    "swin_large": "swin_large_patch4_window7_224",
}


class Swin(Backbone):
    """Swin Transformer whose parameters carry timm's names; maps of stages 1-3 are taken before merging."""

    def __init__(self, name: str, shape: SwinShape, *, drop_path: float = 0.0, bands: int = 3) -> None:
        """Build with random weights.

        Args:
            name: name of the backbone.
            shape: its size.
            drop_path: stochastic depth rate of the last block; rates rise linearly from 0 at the first.
            bands: channels of the images.
        """
        super().__init__()
        self.name = name
        self.mean, self.std = for_bands(IMAGENET_MEAN, bands), for_bands(IMAGENET_STD, bands)
        self.channels = shape.channels
        self.patch_embed = PatchEmbed(shape.embed_dim, bands)
        blocks = sum(shape.depths)
        rates = iter([drop_path * index / max(blocks - 1, 1) for index in range(blocks)])
        self.layers = nn.ModuleList(
            Stage(
                width,
                depth=depth,
                heads=heads,
                window=window,
                drop_path=[next(rates) for _ in range(depth)],
                merges=index > 0,
            )
            for index, (width, depth, heads, window) in enumerate(
                zip(shape.channels, shape.depths, shape.heads, shape.windows, strict=True)
            )
        )
        self.norm = nn.LayerNorm(shape.channels[3])
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images (B, D, H, W); see `Backbone.forward`."""
        check_images(images, len(self.mean))
        tokens = self.patch_embed(images)
        maps = []
        for stage in self.layers:
            tokens = stage(tokens)
            maps.append(tokens)
        maps[3] = self.norm(maps[3])
        first, second, third, fourth = (stage_map.permute(0, 3, 1, 2) for stage_map in maps)
        return first, second, third, fourth

    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """Modules per stage: patch embedding with the first, merging with the stage that follows it."""
        first, second, third, fourth = self.layers
        return [self.patch_embed, first], [second], [third], [fourth, self.norm]


class PatchEmbed(nn.Module):
    """4×4 patches to normalised tokens."""

    def __init__(self, width: int, bands: int = 3) -> None:
        super().__init__()
        self.proj = nn.Conv2d(bands, width, kernel_size=PATCH_PX, stride=PATCH_PX)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, D, H, W) to (B, ceil(H/4), ceil(W/4), width)."""
        missing_rows, missing_columns = (-size % PATCH_PX for size in images.shape[2:])
        if missing_rows or missing_columns:
            images = F.pad(images, (0, missing_columns, 0, missing_rows), mode="replicate")
        tokens: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return tokens


class PatchMerging(nn.Module):
    """2×2 tokens to one of twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width)
        self.reduction = nn.Linear(2 * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, width / 2) to (B, ceil(h/2), ceil(w/2), width)."""
        if tokens.shape[1] % 2:
            tokens = torch.cat([tokens, tokens[:, -1:]], dim=1)
        if tokens.shape[2] % 2:
            tokens = torch.cat([tokens, tokens[:, :, -1:]], dim=2)
        batch, height, width, channels = tokens.shape
        corners = tokens.reshape(batch, height // 2, 2, width // 2, 2, channels)
        merged: Tensor = self.reduction(self.norm(corners.permute(0, 1, 3, 4, 2, 5).flatten(3)))
        return merged


class Stage(nn.Module):
    """Merging (except in the first stage) and blocks, every second one with shifted windows."""

    def __init__(
        self, width: int, *, depth: int, heads: int, window: int, drop_path: Sequence[float], merges: bool
    ) -> None:
        super().__init__()
        self.downsample = PatchMerging(width) if merges else nn.Identity()
        self.blocks = nn.Sequential(
            *(
                Block(
                    width,
                    heads=heads,
                    window=window,
                    shift=window // 2 if index % 2 else 0,
                    drop_path=drop_path[index],
                )
                for index in range(depth)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, ·) tokens of the previous stage to (B, h', w', width)."""
        result: Tensor = self.blocks(self.downsample(tokens))
        return result


class Block(nn.Module):
    """Window attention and MLP, each with a norm before it and a residual connection."""

    def __init__(self, width: int, *, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads=heads, window=window, shift=shift)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, h, w, width) to the same shape."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        if not goes_in_parts(self):
            result: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
            return result
        rows = tokens.reshape(-1, tokens.shape[-1])
        for part in rows.split(tokens_at_once(rows)):
            part += self.mlp(self.norm2(part))
        return rows.view(tokens.shape)


class Mlp(nn.Module):
    """Two linear layers with GELU between, four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(…, width) to the same shape."""
        result: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return result


def timm_names(tensors: Mapping[str, Tensor], depths: Sequence[int]) -> dict[str, Tensor]:
    """A published Swin checkpoint with timm's current names, without classifier and derived tables.

    Understands the names of timm, Microsoft (where merging belongs to the stage before it, as in timm before
    0.9) and torchvision.

    Args:
        tensors: tensors by their published names.
        depths: blocks per stage.
    """
    merges_early = "layers.0.downsample.reduction.weight" in tensors
    torchvision = {"features.0.0": "patch_embed.proj", "features.0.2": "patch_embed.norm"}
    for stage, depth in enumerate(depths):
        if stage:
            torchvision[f"features.{2 * stage}"] = f"layers.{stage}.downsample"
        torchvision |= {
            f"features.{2 * stage + 1}.{block}": f"layers.{stage}.blocks.{block}" for block in range(depth)
        }
    mlp = {"mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2"}

    def rename(name: str) -> str:
        parts = name.split(".")
        if merges_early and parts[0] == "layers" and parts[2] == "downsample":
            return ".".join([parts[0], str(int(parts[1]) + 1), *parts[2:]])
        if parts[0] != "features":
            return name
        owner = next((".".join(parts[:n]) for n in (3, 2) if ".".join(parts[:n]) in torchvision), "")
        rest = name.removeprefix(owner + ".")
        kind = next((old for old in mlp if rest.startswith(old + ".")), "")
        rest = mlp[kind] + rest.removeprefix(kind) if kind else rest
        return f"{torchvision[owner]}.{rest}" if owner else name

    derived = ("attn_mask", "relative_position_index")
    return {
        rename(name): tensor
        for name, tensor in tensors.items()
        if not name.endswith(derived) and name.split(".")[0] != "head"
    }


def known_names() -> list[str]:
    """All names for which `create_backbone` builds a Swin of this module."""
    return sorted(chain(SHAPES, ALIASES))


def create_swin(name: str, *, weights: str, drop_path: float = 0.0, bands: int = 3) -> Swin:
    """A Swin by name.

    Args:
        name: one of `known_names`, with or without a timm tag ("swin_tiny.ms_in22k_ft_in1k").
        weights: "pretrained", "none", or a file with the names of timm, torchvision or Microsoft.
        drop_path: stochastic depth rate of the last block.
        bands: channels of the images.

    Raises:
        SwtformerError: the weights are not available.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    architecture, dot, tag = name.partition(".")
    architecture = ALIASES.get(architecture, architecture)
    shape = SHAPES[architecture]
    swin = Swin(name, shape, drop_path=drop_path, bands=bands)
    load_into(
        swin,
        weights,
        name=f"{architecture}{dot}{tag}",
        rename=lambda tensors: timm_names(tensors, shape.depths),
    )
    return swin
