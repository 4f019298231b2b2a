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
    name: str, *, weights: str | Path = "pretrained", drop_path: float = 0.0, bands: int = 3
) -> Backbone:
    """Build a backbone by name.

    Args:
        name: `swin_tiny`, `swin_small`, `swin_base` (or timm's full names), `resnet38d`, any timm network
            with stages at strides 4, 8, 16 and 32, a plain vision transformer of timm, or a small network
            for trials (`swin_nano`, `resnet38d_nano`, `vit_nano`); timm's weight tags ("….fb_in22k") choose
            among weights.
        weights: "pretrained" (downloaded from the hub), "none" (random), or a .safetensors or .pth file.
        drop_path: stochastic depth rate of the last block; ignored by families without stochastic depth.
        bands: channels of the images. Pretrained weights are adapted: each band takes those of red, green or
            blue in turn.

    Raises:
        SwtformerError: the name is unknown (the message names the nearest) or unsuitable, or the weights are
            not available.
        CheckpointError: the weights file is damaged, unsafe or made for another network.
    """
    from swtformer.backbones import swin

    if name.split(".")[0] in swin.known_names():
        return swin.create_swin(name, weights=str(weights), drop_path=drop_path, bands=bands)
    from swtformer.backbones import resnet38d

    if name in resnet38d.known_names():
        return resnet38d.create_resnet38d(name, weights=str(weights), bands=bands)
    from swtformer.backbones import vit

    if vit.is_plain(name):
        return vit.PlainViT(name, weights=str(weights), drop_path=drop_path, bands=bands)
    from swtformer.backbones.timm import TimmBackbone

    return TimmBackbone(name, weights=str(weights), drop_path=drop_path, bands=bands)


def own_names() -> list[str]:
    """Names of the networks that are built here and not by timm."""
    from swtformer.backbones import resnet38d, swin, vit

    return [*swin.known_names(), *resnet38d.known_names(), *vit.SHAPES]
