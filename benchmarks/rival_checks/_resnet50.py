"""What the checks of IRN and SIPE share: their ResNet-50 with the last stage at stride 16."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
import torch.utils.model_zoo
from torch import Tensor, nn

from swtformer.methods import create_model
from swtformer.settings import ModelSettings

CLASSES = tuple(f"class {number}" for number in range(20))


def drawn_images() -> Tensor:
    """Two images of blocks of random colours, (2, 3, 128, 160) uint8."""
    colours = torch.randint(0, 256, (2, 3, 8, 10), generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(colours.float(), (128, 160), mode="nearest").to(torch.uint8)


def drawn_labels() -> Tensor:
    """Labels of the two images: three classes, and one."""
    present = torch.zeros(2, len(CLASSES))
    present[0, [0, 7, 14]] = 1
    present[1, 3] = 1
    return present


def ours_at_stride_16(method: str) -> Any:
    """Our method on timm's ResNet-50, in eval mode, with drawn weights and statistics of drawn images.

    In double precision, as 50 layers of drawn weights magnify rounding; behind its head, ours is in single.
    The first block of its last stage loses its stride, as theirs has none.
    """
    torch.manual_seed(0)
    model: Any = create_model(ModelSettings(method=method, backbone="resnet50", weights="none"), CLASSES)
    first = model.backbone.model.layer4[0]
    first.conv2.stride = first.downsample[0].stride = (1, 1)
    with torch.no_grad():
        model.head.weight.normal_(std=0.1)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.2)
        for stage in range(1, 5):
            getattr(model.backbone.model, f"layer{stage}")[-1].bn3.bias -= 1
        model.train().encode(drawn_images())
        # Features are not negative, so places are alike, and a class sees all or nothing, unless weights have
        # a mean of 0. Of absent classes, one competes with the present ones; the others see nothing.
        for layer in (model.head, *getattr(model, "fusion", nn.Module()).modules()):
            if isinstance(layer, nn.Conv2d):
                layer.weight -= layer.weight.mean(1, keepdim=True)
        model.head.weight[[number for number in range(20) if number not in (0, 1, 3, 7, 14)]] -= 0.1
    return model.double().eval()


def weights_of(model: Any) -> Any:
    """A context in which their networks get the model's backbone where they download ImageNet's weights."""
    tensors = model.backbone.model.state_dict()
    classifier = {"fc.weight": torch.empty(0), "fc.bias": torch.empty(0)}  # which they throw away
    return patch("torch.utils.model_zoo.load_url", lambda *_, **__: tensors | classifier)
