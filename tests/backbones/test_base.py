from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from swtformer.backbones import create_backbone
from swtformer.backbones.base import Backbone, Normalisation


def statistics(backbone: Backbone) -> list[torch.Tensor]:
    return [m.running_mean.clone() for m in backbone.modules() if isinstance(m, _BatchNorm)]


def test_batch_norm_keeps_trained_statistics_but_trains_scale_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.safetensors"
    save_file(timm.create_model("mobilenetv2_050", num_classes=0).state_dict(), path)
    backbone = create_backbone("mobilenetv2_050", weights=path).train()
    before = statistics(backbone)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    backbone(images)[3].sum().backward()
    assert all(map(torch.equal, statistics(backbone), before))
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    assert not any(module.training for module in norms)
    assert all(module.weight.grad is not None for module in norms)
    assert any(m.training for m in backbone.modules() if isinstance(m, nn.Conv2d))


def test_batch_norm_learns_statistics_without_trained_weights() -> None:
    backbone = create_backbone("mobilenetv2_050", weights="none").train()
    before = statistics(backbone)
    backbone(torch.ones(2, 3, 64, 64))
    assert not any(map(torch.equal, statistics(backbone)[:1], before[:1]))


@pytest.mark.parametrize("method", ["forward", "stage_modules"])
def test_an_incomplete_backbone_cannot_be_made(method: str) -> None:
    members = {"forward": lambda self, images: images, "stage_modules": lambda self: ()}
    del members[method]
    with pytest.raises(TypeError, match=method):
        type("Incomplete", (Backbone,), members)()


def test_normalisation_of_bytes_and_of_floats() -> None:
    normalisation = Normalisation((0.5, 0.2, 0.0), (0.5, 0.1, 2.0))
    pixel = torch.tensor([255, 102, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = torch.tensor([1.0, 2.0, 0.1]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalisation(pixel), expected)
    torch.testing.assert_close(normalisation(pixel / 255), expected)
    assert not normalisation.state_dict()
