"""Backbones: images to a pyramid of four feature maps. One module per family, imported on demand.

To add a family: a module with a subclass of `Backbone`, a line in `create_backbone`, a row in the contract
tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swtformer.backbones.base import Backbone


def create_backbone(
    name: str,
    *,
    weights: str | Path = "pretrained",
    drop_path: float = 0.0,
    bands: int = 3,
    output_stride: int = 32,
    dilated: bool = True,
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: `swin_tiny`, `swin_small`, `swin_base` (or timm's full names), `resnet38d`, `conformer_small`
            and others of its family, any timm network with stages at strides 4, 8, 16 and 32, a plain vision
            transformer of timm, or a small network for trials (`swin_nano`, `resnet38d_nano`, `vit_nano`,
            `conformer_nano`); timm's weight tags ("….fb_in22k") choose among weights.
        weights: "pretrained" (downloaded from the hub), "none" (random), or a .safetensors or .pth file.
        drop_path: stochastic depth rate of the last block; ignored by families without stochastic depth.
        bands: channels of the images. Pretrained weights are adapted: each band takes those of red, green or
            blue in turn.
        output_stride: stride of the last stage, 32, 16 or 8, for families that can be dilated.
        dilated: whether convolutions behind a stride that is taken away are dilated, so that they see as far
            as before.

    Raises:
        SwtformerError: the name is unknown (the message names the nearest) or unsuitable, its family cannot
            have the output stride, or the weights are not available.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    from swtformer.backbones import conformer, resnet38d, swin, vit
    from swtformer.backbones.base import cannot_be_dilated
    from swtformer.backbones.timm import TimmBackbone
    from swtformer.errors import SwtformerError

    architecture = name.split(".")[0]
    if name in conformer.known_names():
        return conformer.create_conformer(
            name, weights=str(weights), drop_path=drop_path, bands=bands, output_stride=output_stride
        )
    if name in resnet38d.known_names() and output_stride in (32, resnet38d.ResNet38d.strides[-1]):
        return resnet38d.create_resnet38d(name, weights=str(weights), bands=bands)
    if name in resnet38d.known_names():
        raise SwtformerError(
            f"Backbone {name!r} has its last stage at stride {resnet38d.ResNet38d.strides[-1]} in any case; "
            "leave model.output_stride out."
        )
    is_swin = architecture in swin.known_names()
    if output_stride != 32 and (is_swin or name in own_names() or vit.is_plain(name)):
        raise cannot_be_dilated(name, output_stride)
    if is_swin:
        return swin.create_swin(name, weights=str(weights), drop_path=drop_path, bands=bands)
    if vit.is_plain(name):
        return vit.PlainViT(name, weights=str(weights), drop_path=drop_path, bands=bands)
    return TimmBackbone(
        name,
        weights=str(weights),
        drop_path=drop_path,
        bands=bands,
        output_stride=output_stride,
        dilated=dilated,
    )


def own_names() -> list[str]:
    """Names of the networks that are built here and not by timm."""
    from swtformer.backbones import conformer, resnet38d, swin, vit

    return [*swin.known_names(), *resnet38d.known_names(), *conformer.known_names(), *vit.SHAPES]
