"""The branchless Swin computes what the branching one does, at sizes where every branch is taken."""

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
    assert not copy.training
    assert not {id(item) for item in swin.parameters()} & {id(item) for item in copy.parameters()}
