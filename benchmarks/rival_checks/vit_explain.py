"""vit-explain: attention roll-out, and where its code is at fault.

Their `rollout` divides column j of the attention by the sum of row j (`a / a.sum(dim=-1)` without `keepdim`).
Where all rows have the same sum, as with the mean of the heads and nothing discarded, this is no fault, and
we compare with their function as it is. Elsewhere we compare with the right reading, which is their function
with rows divided by their own sums. Their hooks on `attn_drop` see nothing where attention is fused, so it is
turned off in the network that they watch.

Their gradient roll-out is not compared; ours is that of Chefer et al. Theirs pairs the first layer's
attention with the last layer's gradient, as backward hooks run in reverse, and these gradients are of the
softmax's input, not of the attention (both seen with timm 1.0.31).
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor

from rival_checks import Check, compared
from swtformer.methods import create_model
from swtformer.settings import METHODS, ModelSettings

FOLDER = "vit-explain"
NAME = "deit_tiny_patch16_224"
CLASSES = ("cat", "dog", "cow")
WRONG, RIGHT = "a.sum(dim=-1)", "a.sum(dim=-1, keepdim=True)"


def checks(folder: Path) -> list[Check]:
    """Compare roll-out by their hooks, and by the right reading of their function."""
    stand_in = ModuleType("cv2")  # only their pictures need it
    sys.modules.setdefault("cv2", stand_in)
    theirs = import_module("vit_rollout")
    text = (folder / "vit_rollout.py").read_text(encoding="utf-8")
    assert text.count(WRONG) == 1
    right = ModuleType("right")
    exec(text.replace(WRONG, RIGHT), vars(right))

    torch.manual_seed(0)
    settings = ModelSettings(method="attention_rollout", backbone=NAME, weights="none", drop_path=0)
    ours: Any = create_model(settings, CLASSES).eval()
    for name, parameter in ours.backbone.named_parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2 if "qkv" in name else 0.05)
    network: Any = timm.create_model(NAME, num_classes=0).eval()
    network.load_state_dict(ours.backbone.model.state_dict())
    for block in network.blocks:
        block.attn.fused_attn = False
    images = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    seen = ours.normalisation(images)

    watched = theirs.VITAttentionRollout(network, head_fusion="mean", discard_ratio=0.0)
    found = [_compared(ours, images, "mean", 0.0, "as it is", watched(seen))]
    for heads in ("mean", "max", "min"):
        for discard in (0.0, 0.5, 0.9):
            # Their function changes the attention that it is given.
            attentions = [attention.clone() for attention in watched.attentions]
            made = right.rollout(attentions, discard, heads)
            found.append(_compared(ours, images, heads, discard, "rows divided", made))
    return found


def _compared(
    ours: Any, images: Tensor, heads: str, discard: float, reading: str, theirs: np.ndarray
) -> Check:
    """Our map under these options, and theirs."""
    ours.options = METHODS.options("attention_rollout", {"heads": heads, "discard": discard})
    with torch.no_grad():
        made = ours.rolled_out(images)[1][0, 0]
    return compared(
        f"roll-out, {heads} of heads, {discard:g} discarded ({reading})",
        "vit_rollout.py: rollout",
        ours=made,
        other=torch.from_numpy(theirs),
    )
