"""Transformers that report their attention: the same features as timm's, and the attention that made them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed

from swtformer.backbones.attentive_vit import AttentiveViT
from swtformer.backbones.vit import create_transformer, whole_patches
from swtformer.errors import SwtformerError

NAMES = ["vit_nano", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"]
BEFORE_PATCHES = {"vit_nano": 0, "deit_tiny_distilled_patch16_224": 1, "vit_small_patch14_reg4_dinov2": 4}


def backbone_of(name: str, **options: Any) -> AttentiveViT:
    """Untrained, with attention far from even."""
    torch.manual_seed(0)
    made = AttentiveViT(
        name, weights="none", **{"class_tokens": 1, "tokens": "normalised", "drop_path": 0.0, **options}
    )
    with torch.no_grad():
        for block in made.model.blocks:
            block.attn.qkv.weight.mul_(8)
    return made.eval()


def draw(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 96), (224, 224)])
def test_features_are_those_of_timm(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fused kernel and with reported attention, if timm does not smooth positional embeddings."""
    for module in ("vision_transformer", "deit"):
        monkeypatch.setattr(
            f"timm.models.{module}.resample_abs_pos_embed", partial(resample_abs_pos_embed, antialias=False)
        )
    backbone = backbone_of(name).double()
    images = draw(1, 3, *size).double()
    with torch.no_grad():
        expected = backbone.model.forward_features(whole_patches(images, patch_px=backbone.patch_px))
        plain, attended = backbone(images), [tokens for tokens, _ in backbone.attended(images)]
    assert len(plain) == len(attended) == backbone.depth
    for tokens in (plain[-1], attended[-1]):
        torch.testing.assert_close(tokens.classes, expected[:, :1], atol=1e-5, rtol=0)
        patches = tokens.patches.flatten(2).mT
        torch.testing.assert_close(patches, expected[:, backbone.first_patch :], atol=1e-5, rtol=0)
    for one, other in zip(plain, attended, strict=True):
        torch.testing.assert_close(one.patches, other.patches, atol=1e-5, rtol=0)
    assert tuple(plain[0].patches.shape[2:]) == (size[0] // 16, size[1] // 16)


@pytest.mark.parametrize("name", NAMES)
def test_registers_and_the_distillation_token_are_between_classes_and_patches(name: str) -> None:
    backbone = backbone_of(name, class_tokens=3)
    assert backbone.first_patch == 3 + BEFORE_PATCHES[name]
    with torch.no_grad():
        tokens, attention = next(backbone.attended(draw(2, 3, 64, 96)))
    assert tokens.classes.shape == (2, 3, backbone.width)
    assert tokens.patches.shape == (2, backbone.width, 4, 6)
    assert attention.shape[2:] == (backbone.first_patch + 24,) * 2
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:3]))


def test_the_attention_is_the_softmax_of_queries_and_keys() -> None:
    """Of the first block, head by head, from the tokens that enter it."""
    backbone = backbone_of("vit_nano", class_tokens=2)
    block = backbone.model.blocks[0]
    seen: list[torch.Tensor] = []
    block.norm1.register_forward_hook(lambda *given: seen.append(given[2][0]))
    with torch.no_grad():
        _, attention = next(backbone.attended(draw(1, 3, 32, 48)))
    projected = seen[0].numpy() @ block.attn.qkv.weight.detach().numpy().T
    projected = projected + block.attn.qkv.bias.detach().numpy()
    for head in range(2):
        query = projected[:, head * 16 : head * 16 + 16]
        key = projected[:, 32 + head * 16 : 32 + head * 16 + 16]
        for token in range(len(query)):
            scores = np.exp(key @ query[token] / 4)
            np.testing.assert_allclose(attention[0, head, token], scores / scores.sum(), atol=1e-5)
    assert attention[0, 0].std() > 0.01, "these weights are far from even"


def test_gradients_reach_the_attention() -> None:
    """Reported attention is on the way to the features, not computed beside them."""
    backbone = backbone_of("vit_nano")
    layers = list(backbone.attended(draw(1, 3, 32, 48)))
    tokens, attentions = layers[-1][0], [attention for _, attention in layers]
    for gradient in torch.autograd.grad(tokens.classes[..., 0].sum(), attentions):
        assert gradient.any()


def test_class_tokens_start_as_copies_of_the_pretrained_one(tmp_path: Path) -> None:
    for name in ("vit_nano", "vit_small_patch14_reg4_dinov2"):
        torch.manual_seed(0)
        pretrained = create_transformer(name, weights="none", drop_path=0.0, bands=3)
        torch.nn.init.normal_(pretrained.cls_token)
        torch.nn.init.normal_(pretrained.pos_embed)
        save_file(pretrained.state_dict(), tmp_path / f"{name}.safetensors")
        backbone = AttentiveViT(
            name, weights=str(tmp_path / f"{name}.safetensors"), class_tokens=3, tokens="raw", drop_path=0.0
        ).eval()
        for index in range(3):
            assert torch.equal(backbone.model.cls_token[:, index], pretrained.cls_token[:, 0])
        table, own = backbone.model.pos_embed, pretrained.pos_embed
        if name == "vit_nano":
            assert torch.equal(table[:, :3], own[:, :1].expand(-1, 3, -1))
            assert torch.equal(table[:, 3:], own[:, 1:])
        else:
            assert torch.equal(table, own), "its class token has no position"


def test_random_class_tokens_differ() -> None:
    tokens = backbone_of("vit_nano", class_tokens=3).model.cls_token[0]
    assert tokens.std().item() == pytest.approx(0.02, rel=0.3)
    assert not torch.equal(tokens[0], tokens[1])


def test_raw_tokens_have_no_final_norm() -> None:
    images = draw(1, 3, 32, 48)
    normalised, raw = backbone_of("vit_nano"), backbone_of("vit_nano", tokens="raw")
    assert not any("norm." in key and "blocks" not in key for key in raw.state_dict())
    with torch.no_grad():
        plain = raw(images)[-1].classes
        torch.testing.assert_close(normalised.model.norm(plain), normalised(images)[-1].classes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eva02_tiny_patch14_224", "attention of a kind that is not reported"),
        ("vit_pwee_patch16_reg1_gap_256", "attention of a kind that is not reported"),
        ("vit_wee_patch16_reg1_gap_256", "no class token"),
    ],
)
def test_other_networks_are_refused(name: str, message: str) -> None:
    with pytest.raises(SwtformerError, match=f"'{name}' has {message}.*deit_small_patch16_224"):
        backbone_of(name)


def test_images_that_do_not_fit_are_refused() -> None:
    backbone = backbone_of("vit_nano", bands=4)
    assert len(backbone.mean) == 4
    with pytest.raises(ValueError, match=r"\(B, 4, H, W\).*32"):
        backbone(draw(1, 3, 64, 64))
    with pytest.raises(ValueError, match="at least 32"):
        next(backbone.attended(draw(1, 4, 16, 64)))
