"""timm's shifted blocks are recognised."""

from __future__ import annotations

import pytest
import timm

from swtformer.backbones import create_backbone
from swtformer.backbones.rolled_windows import rolls_before_padding


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224"])
def test_timms_swins_have_blocks_that_roll(name: str) -> None:
    model = timm.create_model(name, pretrained=False)
    assert any(rolls_before_padding(block) for block in model.modules())


def test_other_networks_and_our_swin_have_none() -> None:
    for model in (
        timm.create_model("resnet10t", pretrained=False),
        create_backbone("swin_nano", weights="none"),
    ):
        assert not any(rolls_before_padding(block) for block in model.modules())
