"""pytorch-grad-cam (jacobgil/pytorch-grad-cam): class activation maps of a Swin-T."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from peer_rows import Row, Setup
from peer_rows._classifier import CLASSES, SWIN, classifier, correlation, ours

FOLDER = "pytorch-grad-cam"


def theirs(*, at_once: bool) -> Callable[[], Tensor]:
    """One call for each class, or one for a batch of as many copies of the image."""
    from pytorch_grad_cam import GradCAM  # type: ignore[import-not-found]
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # type: ignore[import-not-found]

    network, images = classifier(SWIN)
    cam = GradCAM(
        model=network, target_layers=[network.norm], reshape_transform=lambda maps: maps.permute(0, 3, 1, 2)
    )
    targets = [ClassifierOutputTarget(number) for number in CLASSES]

    def work() -> Tensor:
        if at_once:
            made = cam(input_tensor=images.expand(len(targets), -1, -1, -1).contiguous(), targets=targets)
        else:
            made = np.stack([cam(input_tensor=images, targets=[target])[0] for target in targets])
        return torch.from_numpy(made)

    return work


KINDS: dict[str, Setup] = {
    "theirs": functools.partial(theirs, at_once=False),
    "theirs_at_once": functools.partial(theirs, at_once=True),
    "ours": functools.partial(ours, SWIN),
    "ours_bf16": functools.partial(ours, SWIN, bf16=True),
}
CODE = "pytorch_grad_cam: GradCAM"
WHAT = "CAMs of 20 classes, Swin-T, 224 px"
ROWS = (
    Row(f"{WHAT}, fp32", CODE, "theirs", "ours", correlation, gflop=9.06),
    Row(
        f"{WHAT}, fp32, theirs with 20 copies of the image",
        CODE,
        "theirs_at_once",
        "ours",
        correlation,
        gflop=9.06,
    ),
    Row(f"{WHAT}, ours in bf16", CODE, "theirs", "ours_bf16", correlation, gflop=9.06, precision="bf16"),
)
