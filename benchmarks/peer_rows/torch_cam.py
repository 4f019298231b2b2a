"""torch-cam (frgfm/torch-cam): class activation maps of a ResNet-50."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import metadata

import torch
from torch import Tensor

from peer_rows import Row, Setup
from peer_rows._classifier import CLASSES, RESNET, classifier, correlation, ours

FOLDER = "torch-cam"


def theirs() -> Callable[[], Tensor]:
    metadata.version = lambda name: "0"  # it asks for its own, which a clone does not have
    from torchcam.methods import CAM  # type: ignore[import-not-found]

    network, images = classifier(RESNET)
    extractor = CAM(network, "layer4", "fc")

    def work() -> Tensor:
        with torch.no_grad():
            scores = network(images)
        return torch.cat([extractor(number, scores)[0] for number in CLASSES]).detach()

    return work


KINDS: dict[str, Setup] = {"theirs": theirs, "ours": functools.partial(ours, RESNET)}
ROWS = (
    Row(
        "CAMs of 20 classes, ResNet-50, 224 px, fp32",
        "torchcam/methods: CAM",
        "theirs",
        "ours",
        correlation,
        gflop=8.38,
    ),
)
