"""The branchless networks equal the branching ones, at sizes that take every branch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from swtformer.backbones import create_backbone
from swtformer.backbones.any_size import without_size_branches


@pytest.mark.parametrize("size", [(32, 32), (112, 56), (33, 47), (66, 130)])
def test_equal_at_every_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    swin = create_backbone("swin_nano", weights="none").eval()
    for parameter in swin.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, std=0.3)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected, got = swin(images), without_size_branches(swin)(images)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_the_original_stays_as_it_was() -> None:
    swin = create_backbone("swin_nano", weights="none").train()
    names = [name for name, _ in swin.named_modules()]
    copy = without_size_branches(swin)
    assert [name for name, _ in swin.named_modules()] == names
    assert swin.training
    assert not any(module.training for module in copy.modules())
    assert not {id(item) for item in swin.parameters()} & {id(item) for item in copy.parameters()}


@pytest.mark.parametrize("output", [1, 2, 3, 6, (4, 7), (None, 5), (3, None)])
def test_pooling_is_torchs(output: int | tuple[int | None, int | None]) -> None:
    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(output))
    replaced = without_size_branches(pooling)
    assert not any(isinstance(module, nn.AdaptiveAvgPool2d) for module in replaced.modules())
    torch.manual_seed(0)
    for height in range(1, 21):
        for width in (*range(1, 21), 37):
            maps = torch.randn(2, 3, height, width)
            torch.testing.assert_close(replaced(maps), pooling(maps), atol=1e-6, rtol=0)
