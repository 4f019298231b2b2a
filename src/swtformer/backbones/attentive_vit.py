"""Plain vision transformers of timm that report their attention, with one class token or several.

Tokens are in the order class tokens, distillation token and registers, patches. Those in the middle take part
in the attention and are left out of maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Attention, Block, VisionTransformer
from torch import Tensor, nn

from swtformer.backbones.base import FeatureExtractor, check_images, for_bands
from swtformer.backbones.vit import create_transformer, stride_of, whole_patches
from swtformer.errors import SwtformerError


@dataclass(frozen=True)
class Tokens:
    """Tokens after a block.

    Attributes:
        classes: (B, N, D) class tokens.
        patches: (B, D, h, w) patch tokens.
    """

    classes: Tensor
    patches: Tensor


class AttentiveViT(FeatureExtractor):
    """A ViT, DeiT, DINO, DINOv2 or CLIP of timm at any image size, with its attention.

    Images are resized to whole patches, as in `PlainViT`. Positional embeddings are resized to the grid by
    bicubic interpolation without smoothing, as in the code of DINO and MCTformer; timm smooths.

    With pretrained weights every class token starts as a copy of the pretrained one, and its positional
    embedding likewise, as in MCTformer (doi:10.1109/CVPR52688.2022.00427). Random ones differ from each
    other.

    Attributes:
        name: the name it was created with.
        width: D, channels of the tokens.
        depth: number of blocks.
        first_patch: index of the first patch token.
        patch_px: side of a patch, as the network sees it.
        stride_px: side of a patch in the image.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str,
        class_tokens: int,
        tokens: Literal["raw", "normalised"],
        drop_path: float,
        bands: int = 3,
    ) -> None:
        """Build and load weights.

        Args:
            name: timm name, with or without a tag, or `vit_nano`.
            weights: "pretrained", "none", or a path.
            class_tokens: N, number of class tokens.
            tokens: whether those of the last block pass the norm before the classifier; raw drops the norm.
            drop_path: stochastic depth rate of the last block.
            bands: channels of the images.

        Raises:
            SwtformerError: the name or the weights' tag is unknown, or the network has no class token, takes
                images of one size only, or has attention of another kind.
            CheckpointError: the weights file does not fit.
        """
        super().__init__()
        self.name = name
        model = create_transformer(name, weights=weights, drop_path=drop_path, bands=bands)
        _require_plain(name, model)
        self.mean = for_bands(model.pretrained_cfg["mean"], bands)
        self.std = for_bands(model.pretrained_cfg["std"], bands)
        if tokens == "raw":
            model.norm = model.fc_norm = nn.Identity()
        _copy_class_token(model, class_tokens)
        if weights == "none":
            nn.init.trunc_normal_(model.cls_token, std=0.02)
        self.model = model
        self.width = int(model.embed_dim)
        self.depth = len(model.blocks)
        self.class_tokens = class_tokens
        self.first_patch = sum(each.shape[1] for each in self._prefix())
        self.patch_px = int(model.patch_embed.patch_size[0])
        self.stride_px = stride_of(self.patch_px)

    def forward(self, images: Tensor) -> list[Tokens]:
        """Tokens after each block, the fastest way.

        Args:
            images: (B, D, H, W), normalised with `mean` and `std`, H and W at least 32.

        Raises:
            ValueError: the images are not (B, D, H, W), or are smaller than 32 px.
        """
        tokens, grid = self._embedded(images)
        made = []
        for index, block in enumerate(self.model.blocks):
            tokens = block(tokens)
            made.append(self._sorted(tokens, grid, index))
        return made

    def attended(self, images: Tensor) -> Iterator[tuple[Tokens, Tensor]]:
        """Tokens after each block, and the attention that made them.

        One block is computed at a time, so that what a caller does not keep takes no memory.

        Args:
            images: see `forward`.

        Yields:
            The tokens, and (B, heads, T, T) attention: row t has the weights with which token t takes up the
            others, and sums to 1.
        """
        tokens, grid = self._embedded(images)
        for index, block in enumerate(self.model.blocks):
            tokens, attention = _attend(block, tokens)
            yield self._sorted(tokens, grid, index), attention

    def _embedded(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, T, D) tokens before the first block, and the grid of the patches."""
        check_images(images, len(self.mean))
        model = self.model
        patches = model.patch_embed(whole_patches(images, patch_px=self.patch_px))  # (B, h, w, D)
        grid = (patches.shape[1], patches.shape[2])
        prefix = torch.cat(self._prefix(), dim=1)
        if model.pos_embed is not None:
            own = model.patch_embed.grid_size
            count = own[0] * own[1]
            before, table = model.pos_embed[:, :-count], model.pos_embed[:, -count:]
            if before.shape[1]:
                prefix = prefix + before
            positions = table.mT.unflatten(2, own)
            if grid != tuple(own):
                positions = F.interpolate(positions, grid, mode="bicubic", align_corners=False)
            patches = patches + positions.permute(0, 2, 3, 1)
        tokens = torch.cat([prefix.expand(len(images), -1, -1), patches.flatten(1, 2)], dim=1)
        return model.norm_pre(model.pos_drop(tokens)), grid

    def _prefix(self) -> list[Tensor]:
        """(1, n, D) tokens before the patches, class tokens first."""
        names = ("cls_token", "dist_token", "reg_token")
        found = [getattr(self.model, name, None) for name in names]
        return [each for each in found if each is not None]

    def _sorted(self, tokens: Tensor, grid: tuple[int, int], index: int) -> Tokens:
        """Tokens by their kind; those of the last block pass the norm."""
        if index == self.depth - 1:
            tokens = self.model.fc_norm(self.model.norm(tokens))
        patches = tokens[:, self.first_patch :].mT.unflatten(2, grid)
        return Tokens(tokens[:, : self.class_tokens], patches)


def _require_plain(name: str, model: Any) -> None:
    """Refuse networks whose attention cannot be reported, and those without a class token."""
    instead = "Choose a ViT, DeiT, DINO or DINOv2 of timm, such as 'deit_small_patch16_224'."
    if not isinstance(model, VisionTransformer) or any(
        type(block) is not Block or type(block.attn) is not Attention for block in model.blocks
    ):
        raise SwtformerError(f"Backbone {name!r} has attention of a kind that is not reported. {instead}")
    if model.cls_token is None:
        raise SwtformerError(f"Backbone {name!r} has no class token. {instead}")


@torch.no_grad()
def _copy_class_token(model: Any, count: int) -> None:
    """Give a network `count` class tokens, copies of its own with the same positional embedding."""
    model.cls_token = nn.Parameter(model.cls_token.repeat(1, count, 1))
    rows, columns = model.patch_embed.grid_size
    table = model.pos_embed
    if table is not None and table.shape[1] > rows * columns:
        model.pos_embed = nn.Parameter(torch.cat([table[:, :1].repeat(1, count, 1), table[:, 1:]], dim=1))


def _attend(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """timm's `Block`, with its attention (B, heads, T, T)."""
    mixed, attention = _self_attention(block.attn, block.norm1(tokens))
    tokens = tokens + block.drop_path1(block.ls1(mixed))
    tokens = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    return tokens, attention


def _self_attention(layer: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """timm's `Attention` without its fused kernel, which keeps the weights to itself."""
    projected = layer.qkv(tokens).unflatten(2, (3, layer.num_heads, -1)).permute(2, 0, 3, 1, 4)
    query, key, value = projected.unbind(0)
    query, key = layer.q_norm(query), layer.k_norm(key)
    attention = (query * layer.scale @ key.mT).softmax(-1)
    mixed = (layer.attn_drop(attention) @ value).transpose(1, 2).flatten(2)
    norm, gate = getattr(layer, "norm", None), getattr(layer, "gate", None)
    if norm is not None:
        mixed = norm(mixed)
    if gate is not None:
        mixed = mixed * gate(tokens).sigmoid()
    return layer.proj_drop(layer.proj(mixed)), attention
