"""PSA: its features and affinities against NumPy, its walk by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.blocks import draw_blocks
from support.loops import array, projected, resampled
from support.strides import Strides
from support.walkers import built
from swtformer.functional.affinity import half_disc
from swtformer.functional.views import resized
from swtformer.refiners.psa import FeatureAffinityNetwork


def elu(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


def test_features_and_affinities_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    network = FeatureAffinityNetwork(Strides()).eval()
    image = torch.rand(3, 32, 64)
    normalised = (array(image) - np.reshape(Strides.mean, (3, 1, 1))) / np.reshape(Strides.std, (3, 1, 1))
    levels = [
        resampled(elu(projected(normalised[:, ::stride, ::stride], layers)), (4, 8))
        for stride, layers in zip((4, 8, 16, 32), network.projections, strict=True)
    ]
    features = elu(np.tensordot(array(network.mixing.weight)[:, :, 0, 0], np.concatenate(levels), axes=1))
    assert features.shape == (448, 4, 8)
    np.testing.assert_allclose(array(network.features(image[None])[0]), features, rtol=1e-3, atol=1e-4)
    affinity = array(network.affinity(image[None], radius=3)[0])
    for pair, (dy, dx) in enumerate(half_disc(3)):
        for y in range(4):
            for x in range(8):
                if y + dy < 4 and 0 <= x + dx < 8:
                    distance = np.abs(features[:, y, x] - features[:, y + dy, x + dx]).mean()
                    assert affinity[pair, y, x] == pytest.approx(np.exp(-distance), rel=1e-3)
                else:
                    assert affinity[pair, y, x] == 0


def test_new_layers_are_drawn_as_published() -> None:
    """Projections by He's normal rule, the last layer by Glorot's uniform one with a gain of 4."""
    torch.manual_seed(0)
    network = FeatureAffinityNetwork(Strides())
    for layers in network.projections:
        assert float(next(layers.parameters()).detach().std()) == pytest.approx((2 / 3) ** 0.5, rel=0.15)
    limit = 4 * (6 / (448 + 448)) ** 0.5
    assert 0.99 * limit < float(network.mixing.weight.detach().abs().max()) <= limit


class Affinities(nn.Module):
    """Affinities of neighbours as they are given."""

    def __init__(self, to_the_right: list[list[float]]) -> None:
        super().__init__()
        self.to_the_right = torch.tensor(to_the_right)

    def affinity(self, images: Tensor, *, radius: int) -> Tensor:
        made = torch.zeros(len(images), len(half_disc(radius)), *self.to_the_right.shape)
        made[:, half_disc(radius).index((0, 1))] = self.to_the_right
        return made


def test_the_walk_by_hand() -> None:
    """Two pixels of affinity ½, whose 8th power is 1/256: each keeps 256/257 of itself in a step."""
    refiner = built("psa", walk_steps=1)
    refiner.network = Affinities([[0.5, 0]])  # type: ignore[assignment]
    maps = torch.tensor([[[0.0, 1]], [[1, 0]]])
    refined = refiner.refine(torch.rand(3, 32, 64), maps)
    expected = torch.tensor([[[1 / 257, 256 / 257]], [[256 / 257, 1 / 257]]])
    torch.testing.assert_close(refined, expected)


@pytest.mark.parametrize(
    ("size", "grid"), [((1, 1), (4, 4)), ((1, 200), (4, 25)), ((33, 47), (5, 6)), ((64, 101), (8, 13))]
)
def test_maps_come_at_stride_8_of_what_backbones_need(size: tuple[int, int], grid: tuple[int, int]) -> None:
    refined = built("psa", walk_steps=2).refine(torch.rand(3, *size), torch.rand(2, 3, 5))
    assert refined.shape == (2, *grid)


def test_psa_walks_along_its_features() -> None:
    refiner = built("psa")
    example = draw_blocks(1)[0]
    with torch.no_grad():
        affinity = refiner.network.affinity(example.image[None], radius=5)[0]
    start = resized(example.maps[None], affinity.shape[-2:], antialias=True)[0]
    torch.testing.assert_close(refiner.refine(example.image, example.maps), refiner.walked(start, affinity))
    weak = built("psa", walk_beta=100.0).refine(example.image, example.maps)
    assert not torch.allclose(weak, refiner.refine(example.image, example.maps), atol=1e-3)
