"""Plain vision transformers of timm (ViT, DeiT, DINO, DINOv2, EVA-02): a grid of tokens, seen as a pyramid.

All their layers have maps at one stride. The pyramid has the maps after each quarter of the blocks, resized
to strides 4, 8, 16 and 32 without any weights, as ViTDet does with weights
(doi:10.1007/978-3-031-20077-9_17): what lies deeper is coarser, as in hierarchical networks. Class tokens and
registers take part in the attention and are left out of the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from swtformer.backbones.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Backbone,
    Pyramid,
    check_images,
    for_bands,
)
from swtformer.backbones.weights import load_into
from swtformer.errors import SwtformerError

STRIDES = (4, 8, 16, 32)

SHAPES: Mapping[str, Mapping[str, int]] = {
    "vit_nano": {"patch_size": 16, "embed_dim": 32, "depth": 4, "num_heads": 2},
}
"""Sizes of networks that timm does not have; `vit_nano` (0.08 M parameters) is for tests and trials."""


def is_plain(name: str) -> bool:
    """Whether the network of a name is a transformer on patches whose blocks all have the same grid."""
    architecture = name.split(".")[0]
    if architecture in SHAPES:
        return True
    if not timm.is_model(architecture):
        return False
    module = timm.model_entrypoint(architecture).__module__.rpartition(".")[2]
    return module in ("vision_transformer", "deit", "beit", "eva")


def create_transformer(name: str, *, weights: str, drop_path: float, bands: int) -> Any:
    """timm's network of a name, with its weights and without its classifier, for images of any size.

    Args:
        name: timm name, with or without a tag, or one of `SHAPES`.
        weights: "pretrained", "none", or a path.
        drop_path: stochastic depth rate of the last block.
        bands: channels of the images.

    Returns:
        The network; its `pretrained_cfg` has the mean and standard deviation that the weights expect.

    Raises:
        SwtformerError: the name or the weights' tag is unknown, or the network takes images of one size only.
        CheckpointError: the weights file does not fit.
    """
    from swtformer.backbones.timm import require_known, timm_names

    options: dict[str, Any] = {
        "num_classes": 0,
        "in_chans": bands,
        "drop_path_rate": drop_path,
        "dynamic_img_size": True,
    }
    architecture = name.split(".")[0]
    model: Any
    if architecture in SHAPES:
        model = VisionTransformer(**SHAPES[architecture], **options)
        model.pretrained_cfg = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "classifier": "head"}
    else:
        require_known(name)
        try:
            model = timm.create_model(name, pretrained=False, **options)
        except TypeError as error:
            raise SwtformerError(
                f"Backbone {name!r} takes images of one size only ({error}). Choose another, such as "
                "'deit_small_patch16_224'."
            ) from error
    load_into(model, weights, name=name, rename=lambda tensors: timm_names(model, tensors))
    if getattr(model, "attn_pool", None) is not None:
        model.attn_pool = None  # pools behind the maps
    return model


def stride_of(patch_px: int) -> int:
    """Pixels of the image that a patch of a network covers: its own size, but 16 for patches of 14."""
    return 16 if patch_px == 14 else patch_px


def whole_patches(images: Tensor, *, patch_px: int) -> Tensor:
    """Images resized (bilinear) to the nearest number of whole patches, at least one each way.

    Args:
        images: (B, D, H, W).
        patch_px: side of a patch as the network sees it.

    Returns:
        (B, D, h · patch_px, w · patch_px), where h and w are H and W divided by `stride_of` a patch.
    """
    stride = stride_of(patch_px)
    # In integers, and without a comparison of sizes, as exporters cannot trace these.
    size = [
        cast(int, torch.sym_max(1, (side + stride // 2) // stride)) * patch_px for side in images.shape[-2:]
    ]
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


class PlainViT(Backbone):
    """A plain vision transformer at any image size.

    Images are resized to whole patches, those of 14 px so that a patch covers 16 px of the image, and the
    positional embeddings are interpolated to the grid.

    Attributes:
        patch_px: side of a patch, as the network sees it.
        stride_px: side of a patch in the image.
    """

    def __init__(self, name: str, *, weights: str, drop_path: float, bands: int = 3) -> None:
        """Build and load weights.

        Args:
            name: timm name, with or without a tag, or one of `SHAPES`.
            weights: "pretrained", "none", or a path.
            drop_path: stochastic depth rate of the last block.
            bands: channels of the images.

        Raises:
            SwtformerError: the weights' tag is unknown, or the network takes images of one size only.
            CheckpointError: the weights file does not fit.
        """
        super().__init__()
        self.name = name
        model = create_transformer(name, weights=weights, drop_path=drop_path, bands=bands)
        self.mean = for_bands(model.pretrained_cfg["mean"], bands)
        self.std = for_bands(model.pretrained_cfg["std"], bands)
        self.model = model
        self.patch_px = int(model.patch_embed.patch_size[0])
        self.stride_px = stride_of(self.patch_px)
        depth, width = len(model.blocks), int(model.embed_dim)
        self._last = [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]
        self.channels = (width, width, width, width)

    def forward(self, images: Tensor) -> Pyramid:
        """Feature maps of normalised images (B, D, H, W); see `Backbone.forward`."""
        check_images(images, len(self.mean))
        height, width = images.shape[-2:]
        stride = self.stride_px
        seen = whole_patches(images, patch_px=self.patch_px)
        maps = self.model.forward_intermediates(
            seen, indices=self._last, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        maps = [*maps[:3], self._normalised(maps[3])]
        first, second, third, fourth = (
            _at_stride(each, wanted, own=stride, size=(height, width))
            for each, wanted in zip(maps, STRIDES, strict=True)
        )
        return first, second, third, fourth

    def stage_modules(self) -> tuple[Sequence[nn.Module], ...]:
        """A quarter of the blocks each; tokens and embeddings belong to the first, the norm to the last."""
        blocks = list(self.model.blocks)
        ends = [last + 1 for last in self._last]
        groups = [blocks[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        others: list[nn.Module] = []
        for name, child in self.model.named_children():
            if name != "blocks" and any(True for _ in child.parameters()):
                (groups[3] if name in ("norm", "fc_norm") else others).append(child)
        others += [nn.ParameterList([each]) for each in self.model.parameters(recurse=False)]
        return others + groups[0], groups[1], groups[2], groups[3]

    def _normalised(self, last: Tensor) -> Tensor:
        """The norm before the classifier, which some networks have behind their pooling, of every token."""
        tokens = last.permute(0, 2, 3, 1)
        for name in ("norm", "fc_norm"):
            tokens = getattr(self.model, name, nn.Identity())(tokens)
        return tokens.permute(0, 3, 1, 2)


def _at_stride(maps: Tensor, stride: int, *, own: int, size: tuple[int, int]) -> Tensor:
    """Maps at a finer stride (bilinear) or a coarser one (means of the tokens in each cell).

    Args:
        maps: (B, C, h, w).
        stride: the wanted one in pixels of the image.
        own: that of the maps.
        size: height and width of the image.
    """
    if stride > own:
        return F.avg_pool2d(maps, stride // own, ceil_mode=True, count_include_pad=False)
    grid = [(side + stride - 1) // stride for side in size]
    return F.interpolate(maps, grid, mode="bilinear", align_corners=False)
