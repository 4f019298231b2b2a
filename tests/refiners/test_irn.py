"""IRN: its boundaries against NumPy, its walk by hand, and what holds for its maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.blocks import draw_blocks
from support.loops import array, projected, resampled
from support.strides import Strides
from support.walkers import built
from swtformer.functional.affinity import boundary_affinity
from swtformer.functional.views import resized
from swtformer.refiners.irn import IRN, BoundaryNetwork


class Boundaries(nn.Module):
    """Boundaries as they are given, of the image and of its mirror image."""

    def __init__(self, straight: list[list[float]], mirrored: list[list[float]]) -> None:
        super().__init__()
        self.made = torch.tensor([straight, mirrored])

    def logits(self, images: Tensor) -> Tensor:
        torch.testing.assert_close(images[1], images[0].flip(-1))
        return self.made.logit()


def test_boundaries_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    network = BoundaryNetwork(Strides()).eval()
    image = torch.rand(3, 32, 64)
    normalised = (array(image) - np.reshape(Strides.mean, (3, 1, 1))) / np.reshape(Strides.std, (3, 1, 1))
    levels = [
        np.maximum(resampled(projected(normalised[:, ::stride, ::stride], layers), (8, 16)), 0)
        for stride, layers in zip((4, 8, 16, 32), network.projections, strict=True)
    ]
    weight, bias = array(network.boundary.weight)[0, :, 0, 0], array(network.boundary.bias)[0]
    expected = 1 / (1 + np.exp(-(np.tensordot(weight, np.concatenate(levels), axes=1) + bias)))
    found = network.boundaries(image[None])
    assert found.shape == (1, 8, 16)
    np.testing.assert_allclose(array(found[0]), expected, rtol=1e-4)


def test_the_walk_by_hand() -> None:
    """Three pixels in a row, a boundary of ½ in the middle, one step.

    Each pair of neighbours has affinity ½, so the sums of the rows are 1½, 2 and 1½. The class starts as
    (1, 0, 0) and walks to (2/3, 1/4, 0), the background from (0, ½, 1) to (1/6, 1/2, 5/6); what starts as
    1 − boundary, (1, ½, 1), walks to (5/6, 3/4, 5/6), which both are divided by.
    """
    refiner = built("irn", walk_steps=1, walk_beta=1, walk_radius=2)
    refiner.network = Boundaries([[0, 0.5, 0]], [[0, 0.5, 0]])  # type: ignore[assignment]
    cam = torch.tensor([[[1.0, 0, 0]]])
    refined = refiner.refine(torch.rand(3, 32, 96), torch.cat([1 - cam, cam]))
    torch.testing.assert_close(refined[1], torch.tensor([[4 / 5, 1 / 3, 0]]))
    torch.testing.assert_close(refined[0], torch.tensor([[1 / 5, 2 / 3, 1]]))


def test_the_published_background_by_hand() -> None:
    """As above; the class alone, divided by its largest value, beside a constant."""
    refiner = built("irn", walk_steps=1, walk_beta=1, walk_radius=2, background=0.25)
    refiner.network = Boundaries([[0, 0.5, 0]], [[0, 0.5, 0]])  # type: ignore[assignment]
    cam = torch.tensor([[[1.0, 0, 0]]])
    refined = refiner.refine(torch.rand(3, 32, 96), torch.cat([1 - cam, cam]))
    torch.testing.assert_close(refined, torch.tensor([[[0.25, 0.25, 0.25]], [[1, 0.375, 0]]]))


def test_boundaries_are_of_the_mean_logits_of_two_views() -> None:
    """Without a step the class keeps what the boundaries leave.

    On the left they are 0.2 and 0.5, odds of 1/4 and 1, whose geometric mean is 1/2, a boundary of 1/3; on
    the right 0.8 and 0.8.
    """
    refiner = built("irn", walk_steps=0, background=0.25)
    refiner.network = Boundaries([[0.2, 0, 0.8]], [[0.8, 0, 0.5]])  # type: ignore[assignment]
    refined = refiner.refine(torch.rand(3, 32, 96), torch.ones(2, 1, 3))
    torch.testing.assert_close(refined[1], torch.tensor([[2 / 3, 1, 0.2]]))


@pytest.mark.parametrize(
    ("size", "grid"), [((1, 1), (8, 8)), ((1, 200), (8, 50)), ((33, 47), (9, 12)), ((64, 101), (16, 26))]
)
def test_maps_come_at_stride_4_of_what_backbones_need(size: tuple[int, int], grid: tuple[int, int]) -> None:
    refined = built("irn", walk_steps=2).refine(torch.rand(3, *size), torch.rand(2, 3, 5))
    assert refined.shape == (2, *grid)


def test_irn_walks_stop_at_the_boundaries_that_its_network_sees() -> None:
    refiner = built("irn")

    class Wall(nn.Module):
        def logits(self, images: torch.Tensor) -> torch.Tensor:
            made = torch.full((len(images), 16, 16), -torch.inf)
            made[0, :, 8] = torch.inf
            made[1, :, 7] = torch.inf  # the mirror image of column 8
            return made

    refiner.network = Wall()  # type: ignore[assignment]
    maps = torch.zeros(2, 16, 16)
    maps[1, 4, 2] = 1
    maps[0, 12, 13] = 1
    refined = refiner.refine(torch.rand(3, 64, 64), maps)
    assert refined[1, :, :8].min() > 0
    assert refined[1, :, 8:].max() < 1e-6
    assert refined[0, :, :9].max() < 1e-6


def test_irn_keeps_the_shares_of_its_walk() -> None:
    example = draw_blocks(1)[0]
    refiner = built("irn")
    assert isinstance(refiner, IRN)
    refined = refiner.refine(example.image, example.maps)
    with torch.no_grad():
        views = torch.stack([example.image, example.image.flip(-1)])
        straight, mirrored = refiner.network.logits(views)
    boundaries = ((straight + mirrored.flip(-1)) / 2).sigmoid()
    assert boundaries.max() > 0.3
    affinity = boundary_affinity(boundaries[None], radius=5)[0]
    start = resized(example.maps[None], boundaries.shape, antialias=True)[0] * (1 - boundaries)
    walked = refiner.walked(start, affinity)
    torch.testing.assert_close(refined / refined.sum(0), walked / walked.sum(0))
    # Maps that add up to 1 still do.
    total = resized(example.maps[None], boundaries.shape, antialias=True)[0].sum(0)
    assert total.min() > 0.999
    torch.testing.assert_close(refined.sum(0), torch.ones_like(total), atol=1e-5, rtol=0)


def test_irn_with_the_published_constant_background() -> None:
    example = draw_blocks(1)[0]
    refined = built("irn", background=0.25).refine(example.image, example.maps)
    assert (refined[0] == 0.25).all()
    assert refined[1].max().item() == pytest.approx(1.0)
    alone = built("irn", background=0.25).refine(example.image, example.maps[:1])
    assert (alone == 0.25).all()
