"""Hierarchical feature fusion: grids, normalisation and odd sizes."""

from __future__ import annotations

import pytest
import torch

from swtformer.methods.fusion import HierarchicalFeatureFusion

CHANNELS = (8, 12, 16, 24)


def _pyramid(sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, *size, generator=generator) for c, size in zip(CHANNELS, sizes, strict=True)]


@pytest.mark.parametrize(("hff", "stage"), [("pair", 2), ("pair_coarse", 3), ("single", 2)])
@pytest.mark.parametrize(
    "sizes",
    [
        [(56, 56), (28, 28), (14, 14), (7, 7)],
        [(94, 125), (47, 63), (24, 32), (12, 16)],
        [(93, 125), (46, 62), (23, 31), (11, 15)],  # families that round down
        [(8, 8), (4, 4), (2, 2), (1, 1)],
    ],
)
def test_output_lies_on_the_stated_grid(hff: str, stage: int, sizes: list[tuple[int, int]]) -> None:
    fused = HierarchicalFeatureFusion(CHANNELS, hff=hff)(_pyramid(sizes))
    assert fused.shape == (2, 768, *sizes[stage])


@pytest.mark.parametrize("hff", ["pair", "pair_coarse", "single"])
def test_scale_of_a_stage_does_not_matter(hff: str) -> None:
    """Each stage is ℓ2-normalised per pixel, so a stage of large values does not drown the others."""
    fusion = HierarchicalFeatureFusion(CHANNELS, hff=hff)
    pyramid = _pyramid([(16, 16), (8, 8), (4, 4), (2, 2)])
    louder = [pyramid[0] * 100, *pyramid[1:]]
    torch.testing.assert_close(fusion(pyramid), fusion(louder), atol=1e-4, rtol=1e-4)


def test_single_is_four_normalised_projections_side_by_side() -> None:
    fusion = HierarchicalFeatureFusion(CHANNELS, hff="single")
    pyramid = _pyramid([(4, 4)] * 4)
    fused = fusion(pyramid)
    start = 0
    for project, stage in zip(fusion.projections, pyramid, strict=True):
        width = project.out_channels
        values = project(stage)
        expected = values / (values.square().sum(1, keepdim=True).sqrt() + 1e-5)
        torch.testing.assert_close(fused[:, start : start + width], expected)
        start += width
    assert start == 768


def test_pair_by_hand() -> None:
    """Identity-like weights: low is stage 1 picked at every fourth pixel, high is stages 3 and 4."""
    fusion = HierarchicalFeatureFusion((1, 1, 1, 1), hff="pair")
    for project in fusion.projections:
        torch.nn.init.zeros_(project.weight)
        project.weight.data[0, 0] = 1
    for down in (fusion.down_first, fusion.down_low):
        torch.nn.init.zeros_(down.weight)
        for channel in range(down.out_channels):
            down.weight.data[channel, channel, 1, 1] = 1
    pyramid = [
        torch.ones(1, 1, 8, 8),
        -torch.ones(1, 1, 4, 4),
        torch.ones(1, 1, 2, 2),
        -torch.ones(1, 1, 1, 1),
    ]
    pyramid[0][0, 0, 0, 0] = -3
    fused = fusion(pyramid)
    assert fused.shape == (1, 768, 2, 2)
    torch.testing.assert_close(fused[0, 0], torch.tensor([[-1.0, 1.0], [1.0, 1.0]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(fused[0, 128], -torch.ones(2, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(fused[0, 256], torch.ones(2, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(fused[0, 512], -torch.ones(2, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("hff", ["pair", "pair_coarse", "single"])
def test_a_uniform_image_has_uniform_features(hff: str) -> None:
    """No frame at the borders, as padding with zeros would draw."""
    fusion = HierarchicalFeatureFusion(CHANNELS, hff=hff)
    pyramid = [
        item[..., :1, :1].expand(-1, -1, *item.shape[-2:])
        for item in _pyramid([(16, 24), (8, 12), (4, 6), (2, 3)])
    ]
    fused = fusion(pyramid)
    torch.testing.assert_close(fused, fused[..., :1, :1].expand_as(fused))
