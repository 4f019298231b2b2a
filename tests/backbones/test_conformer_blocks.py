"""One coupled block by itself; tests/backbones/test_conformer.py has whole networks by their formulas."""

from __future__ import annotations

import pytest
import torch

from swtformer.backbones.conformer_blocks import Block, CoupledBlock


def coupled(given: int, channels: int, *, last_stride: int | None = None) -> CoupledBlock:
    torch.manual_seed(0)
    block = CoupledBlock(given, channels, 24, heads=3, per_token=2, last_stride=last_stride, drop_path=0.0)
    return block.eval()


@torch.no_grad()
def test_reported_attention_is_the_one_that_is_computed() -> None:
    """The fused kernel gives what softmax(q kᵀ / √d) v gives, with the same weights."""
    torch.manual_seed(0)
    block = Block(24, heads=3, drop_path=0.0).eval()
    tokens = torch.randn(2, 7, 24)
    fused, nothing = block(tokens, attends=False)
    seen, attention = block(tokens, attends=True)
    assert nothing is None
    torch.testing.assert_close(seen, fused)
    query, key, value = block.attn.qkv(block.norm1(tokens)).view(2, 7, 3, 3, 8).permute(2, 0, 3, 1, 4)
    weights = (query @ key.mT / 8**0.5).softmax(-1)
    torch.testing.assert_close(attention, weights.mean(1))
    moved = tokens + block.attn.proj((weights @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(fused, moved + block.mlp(block.norm2(moved)))


@torch.no_grad()
@pytest.mark.parametrize(
    ("given", "channels", "last_stride", "side"), [(32, 32, None, 8), (16, 32, None, 4), (32, 32, 2, 4)]
)
def test_maps_are_halved_where_channels_double_or_at_the_end(
    given: int, channels: int, last_stride: int | None, side: int
) -> None:
    block = coupled(given, channels, last_stride=last_stride)
    inner = 8 if given == channels else 4
    tokens = torch.randn(1, 1 + (inner // 2) ** 2, 24)
    maps, after, attention = block(torch.randn(1, given, 8, 8), tokens, attends=True)
    assert maps.shape == (1, channels, side, side)
    assert after.shape == tokens.shape
    assert attention.shape == (1, tokens.shape[1], tokens.shape[1])


@torch.no_grad()
def test_each_branch_sees_the_other() -> None:
    block = coupled(32, 32)
    maps, tokens = torch.randn(1, 32, 8, 8), torch.randn(1, 17, 24)
    before = block(maps, tokens, attends=False)
    by_maps = block(maps + torch.randn(1, 32, 8, 8), tokens, attends=False)
    by_tokens = block(maps, tokens + torch.randn(1, 17, 24), attends=False)
    assert not torch.allclose(by_maps[1], before[1], atol=1e-3)
    assert not torch.allclose(by_tokens[0], before[0], atol=1e-3)
