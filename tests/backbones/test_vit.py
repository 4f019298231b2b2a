"""Plain vision transformers: whose tokens the maps are, and at which size images are seen."""

from __future__ import annotations

import pytest
import timm
import torch

from swtformer.backbones import create_backbone
from swtformer.backbones.vit import PlainViT, is_plain
from swtformer.errors import SwtformerError


def test_the_last_map_holds_the_tokens_that_the_classifier_pools() -> None:
    torch.manual_seed(0)
    backbone = create_backbone("vit_tiny_patch16_224", weights="none").eval()
    assert isinstance(backbone, PlainViT)
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        tokens = backbone.model.forward_features(images)[:, 1:].mT.unflatten(2, (14, 14))
        made = backbone(images)
    torch.testing.assert_close(made[3], torch.nn.functional.avg_pool2d(tokens, 2), atol=1e-4, rtol=1e-4)
    assert [tuple(each.shape[2:]) for each in made] == [(56, 56), (28, 28), (14, 14), (7, 7)]


def test_maps_come_from_quarters_of_the_blocks() -> None:
    torch.manual_seed(0)
    backbone = create_backbone("vit_tiny_patch16_224", weights="none").eval()
    assert isinstance(backbone, PlainViT)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        for parameter in backbone.model.blocks[8].parameters():
            parameter.add_(0.5)
        after = backbone(images)
    same = [torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert same == [True, True, False, False]


def test_a_patch_of_14_px_covers_16_px_of_the_image() -> None:
    backbone = create_backbone("vit_small_patch14_reg4_dinov2", weights="none").eval()
    assert isinstance(backbone, PlainViT)
    seen: list[tuple[int, ...]] = []
    backbone.model.patch_embed.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, 96, 130))
    assert seen == [(1, 3, 84, 112)]  # 6×8 patches
    assert tuple(maps[2].shape[2:]) == (6, 9)


def test_which_networks_are_plain() -> None:
    named = {name: is_plain(name) for name in ("vit_base_patch16_224", "deit_small_patch16_224", "resnet18")}
    assert list(named.values()) == [True, True, False]
    assert not is_plain("nothing_of_this_name")
    assert not is_plain("vit_base_r50_s16_224")
    assert is_plain("vit_small_patch14_dinov2.lvd142m")
    assert is_plain("vit_nano")
    assert timm.is_model("vit_small_patch14_dinov2")


def test_the_small_network_has_no_pretrained_weights_and_is_offered() -> None:
    with pytest.raises(SwtformerError, match=r"No pretrained weights .*'vit_nano'.*model\.weights none"):
        create_backbone("vit_nano")
    with pytest.raises(SwtformerError, match="Did you mean 'vit_nano'"):
        create_backbone("vit_nanno", weights="none")
