"""The sparse walk against the dense matrix that PSA and IRN build."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from swtformer.functional.affinity import boundary_affinity, half_disc
from swtformer.functional.random_walk import random_walk


def dense_walk(maps: Tensor, affinity: Tensor, *, radius: int, beta: float, squarings: int) -> np.ndarray:
    """The reference: a float64 matrix of all pairs of pixels, divided by its sums and squared."""
    count, height, width = maps.shape
    matrix = np.eye(height * width)
    for pair, (dy, dx) in enumerate(half_disc(radius)):
        for y in range(height):
            for x in range(width):
                if y + dy < height and 0 <= x + dx < width:
                    i, j = y * width + x, (y + dy) * width + x + dx
                    matrix[i, j] = matrix[j, i] = float(affinity[pair, y, x]) ** beta
    transition = matrix / matrix.sum(axis=0, keepdims=True)
    for _ in range(squarings):
        transition = transition @ transition
    return (maps.double().numpy().reshape(count, -1) @ transition).reshape(count, height, width)


def drawn(height: int, width: int, *, radius: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(height * 100 + width)
    boundaries = torch.rand(1, height, width, generator=generator) ** 3
    maps = torch.rand(channels, height, width, generator=generator)
    return maps, boundary_affinity(boundaries, radius=radius)[0]


@pytest.mark.parametrize("radius", [2, 5])
@pytest.mark.parametrize(("height", "width"), [(11, 13), (1, 1), (1, 12), (12, 1), (2, 3), (4, 4)])
def test_is_the_dense_walk(height: int, width: int, radius: int) -> None:
    maps, affinity = drawn(height, width, radius=radius)
    for squarings, beta in ((8, 10.0), (5, 1.0), (3, 8.0), (0, 2.0)):
        expected = dense_walk(maps, affinity, radius=radius, beta=beta, squarings=squarings)
        walked = random_walk(maps, affinity, radius=radius, beta=beta, steps=2**squarings)
        assert walked.dtype == torch.float32
        np.testing.assert_allclose(walked.numpy(), expected, atol=2e-6)


def test_by_hand_on_two_pixels() -> None:
    # Affinity 0.5, beta 1: each pixel keeps 2/3 and takes 1/3; after two steps 5/9 and 4/9.
    affinity = torch.zeros(len(half_disc(2)), 1, 2)
    affinity[half_disc(2).index((0, 1)), 0, 0] = 0.5
    maps = torch.tensor([[[1.0, 0.0]]])
    walked = random_walk(maps, affinity, radius=2, beta=1, steps=2)
    torch.testing.assert_close(walked, torch.tensor([[[5 / 9, 4 / 9]]]))


def test_no_step_and_no_affinity_change_nothing() -> None:
    maps, affinity = drawn(6, 5, radius=5)
    torch.testing.assert_close(random_walk(maps, affinity, radius=5, beta=1, steps=0), maps)
    alone = torch.zeros_like(affinity)
    torch.testing.assert_close(random_walk(maps, alone, radius=5, beta=1, steps=256), maps, atol=1e-5, rtol=0)


def test_stays_within_the_range_of_each_map() -> None:
    maps, affinity = drawn(9, 11, radius=5)
    constant = torch.full_like(maps[:1], 0.7)
    walked = random_walk(torch.cat([maps, constant]), affinity, radius=5, beta=10, steps=256)
    assert torch.equal(walked[-1:], constant)
    for before, after in zip(maps, walked, strict=False):
        assert before.min() <= after.min()
        assert after.max() <= before.max()


def test_maps_stop_at_a_closed_boundary_and_spread_inside() -> None:
    boundaries = torch.zeros(1, 8, 16)
    boundaries[:, :, 8] = 1
    maps = torch.zeros(1, 8, 16)
    maps[0, 3, 3] = 1
    affinity = boundary_affinity(boundaries, radius=5)[0]
    walked = random_walk(maps, affinity, radius=5, beta=10, steps=256)[0]
    assert walked[:, 8:].max() < 1e-6
    assert walked[:, :8].min() > 0.9 * walked[:, :8].max()


def test_turning_the_image_turns_the_walk() -> None:
    boundaries = torch.rand(1, 9, 13, generator=torch.Generator().manual_seed(0)) ** 2
    maps = torch.rand(2, 9, 13, generator=torch.Generator().manual_seed(1))

    def walk(boundaries: Tensor, maps: Tensor) -> Tensor:
        affinity = boundary_affinity(boundaries, radius=5)[0]
        return random_walk(maps, affinity, radius=5, beta=10, steps=256)

    turned = walk(boundaries.flip(-1, -2), maps.flip(-1, -2)).flip(-1, -2)
    torch.testing.assert_close(turned, walk(boundaries, maps), atol=1e-5, rtol=0)


def test_no_maps_and_no_change_of_what_is_given() -> None:
    maps, affinity = drawn(5, 6, radius=5)
    assert random_walk(maps[:0], affinity, radius=5, beta=8, steps=256).shape == (0, 5, 6)
    copies = maps.clone(), affinity.clone()
    random_walk(maps, affinity, radius=5, beta=8, steps=256)
    assert torch.equal(maps, copies[0])
    assert torch.equal(affinity, copies[1])


def test_images_of_a_batch_are_independent() -> None:
    drawn_ones = [drawn(7, 9, radius=5), drawn(7, 9, radius=5, channels=3)]
    maps = torch.stack([drawn_ones[0][0], drawn_ones[1][0].flip(-1)])
    affinity = torch.stack([drawn_ones[0][1], drawn_ones[1][1] ** 3])
    together = random_walk(maps, affinity, radius=5, beta=2, steps=20)
    for i in range(2):
        alone = random_walk(maps[i], affinity[i], radius=5, beta=2, steps=20)
        torch.testing.assert_close(together[i], alone, atol=0, rtol=0)
    assert not torch.equal(together[0], together[1])


def test_grids_must_agree() -> None:
    maps, affinity = drawn(5, 6, radius=5)
    with pytest.raises(ValueError, match=r"Expected affinities \(34, 5, 6\)"):
        random_walk(maps, affinity[:, :4], radius=5, beta=8, steps=2)
    with pytest.raises(ValueError, match=r"Expected affinities \(2, 34, 5, 6\)"):
        random_walk(torch.stack([maps, maps]), affinity, radius=5, beta=8, steps=2)
    with pytest.raises(ValueError, match="radius 4"):
        random_walk(maps, affinity, radius=4, beta=8, steps=2)
