"""CAMs of 20 classes of a classifier of timm, for one image of 224 px."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn

SWIN, RESNET = "swin_tiny_patch4_window7_224", "resnet50"
CLASSES = list(range(20))


def classifier(name: str) -> tuple[Any, Tensor]:
    """A network with 1,000 classes at random weights, and an image."""
    torch.manual_seed(0)
    return timm.create_model(name).eval(), torch.randn(1, 3, 224, 224)


def ours(name: str, *, bf16: bool = False) -> Callable[[], Tensor]:
    import swtformer

    network, images = classifier(name)
    cam = swtformer.CAM(network)

    def work() -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            made = cam(images)
        maps: Tensor = made.normalised(CLASSES)[0]
        return maps.detach().float()

    return work


def correlation(theirs: Tensor, ours: Tensor) -> str:
    """Mean correlation of the maps of each class on the coarser grid, where ours are above 0.

    Ours cut off what lies below it; theirs may not.
    """
    grid = min(theirs.shape[-2:], ours.shape[-2:])
    found = []
    for maps in zip(theirs, ours, strict=True):
        one, other = (nn.functional.interpolate(each[None, None], grid, mode="area")[0, 0] for each in maps)
        if (other > 0).sum() > 2:
            found.append(torch.corrcoef(torch.stack([one[other > 0], other[other > 0]]))[0, 1])
    return f"correlation {float(torch.stack(found).mean()):.3f}"
