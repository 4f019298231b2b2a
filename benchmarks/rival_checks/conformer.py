"""Conformer-S against github.com/pengzhiliang/Conformer: the stages and both branches' logits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import timm.layers
import torch
from torch import Tensor, nn

from rival_checks import Check, compared
from swtformer.backbones import create_backbone
from swtformer.backbones.conformer import Conformer

FOLDER = "Conformer"
SIZES = ((224, 224), (96, 160))
STAGES = (4, 8, 11, 12)
"""Their blocks whose maps are our stages."""


def old_timm() -> None:
    """The place of timm's layers that the repositories import from."""
    module = ModuleType("timm.models.layers")
    module.DropPath, module.trunc_normal_ = timm.layers.DropPath, timm.layers.trunc_normal_
    sys.modules["timm.models.layers"] = module


def drawn(network: nn.Module) -> dict[str, Tensor]:
    """Its tensors, changed in place: no norm is neutral, and attention is far from uniform."""
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if value.ndim == 1 and value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            is_scale = name.endswith("running_var") or ("weight" in name)
            value.copy_(0.5 + noise if is_scale else noise / 5 - 0.1)
        if name.endswith("attn.qkv.weight"):
            value.mul_(8)
    return network.state_dict()


def ours_from(tensors: dict[str, Tensor], *, output_stride: int = 32) -> Conformer:
    """Our Conformer-S with the tensors of theirs, read from a file as a user would."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "Conformer_small_patch16.pth"
        torch.save({"model": tensors}, file)
        backbone = create_backbone("conformer_small", weights=file, output_stride=output_stride)
    assert isinstance(backbone, Conformer)
    return backbone.eval()


@contextmanager
def outputs(network: Any) -> Iterator[dict[int, Tensor]]:
    """Maps of their blocks, by number, of the forward passes inside the block."""
    kept: dict[int, Tensor] = {}
    hooks = [
        network.get_submodule(f"conv_trans_{block}").register_forward_hook(
            # The next block adds to these maps in place.
            lambda module, given, made, block=block: kept.__setitem__(block, made[0].clone())
        )
        for block in STAGES
    ]
    yield kept
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def checks(folder: Path) -> list[Check]:
    """The same weights and images through both."""
    old_timm()
    from conformer import Conformer as Theirs

    torch.manual_seed(0)
    theirs = Theirs(patch_size=16, channel_ratio=4, embed_dim=384, depth=12, num_heads=6, qkv_bias=True)
    ours = ours_from(drawn(theirs.eval()))
    found = []
    for height, width in SIZES:
        images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(2))
        with outputs(theirs) as kept:
            conv_logits, token_logits = theirs(images)
        made = ours.branches(images)
        at = f"at {height}×{width}"
        for number, (stage, block) in enumerate(zip(made.pyramid, STAGES, strict=True), start=1):
            found.append(
                compared(
                    f"stage {number} {at}", "conformer.py: ConvTransBlock", ours=stage, other=kept[block]
                )
            )
        heads = (
            ("CNN", theirs.conv_cls_head(made.pyramid[3].mean((-2, -1))), conv_logits),
            ("transformer", theirs.trans_cls_head(made.tokens[:, 0]), token_logits),
        )
        for branch, own, other in heads:
            what = f"logits of the {branch} branch {at}"
            found.append(compared(what, "conformer.py: Conformer.forward", ours=own, other=other))
    return found
