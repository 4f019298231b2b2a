"""k-means against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from swtformer.functional.clusters import k_means, lloyd, spread_out


def drawn(count: int, *, channels: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_lloyd_by_hand() -> None:
    """From 0 and 2: {0, 1} and {4, 5, 9} move to 0.5 and 6, where 4 is still nearer to 6."""
    made = lloyd(torch.tensor([[0.0], [1.0], [4.0], [5.0], [9.0]]), torch.tensor([[0.0], [2.1]]))
    assert made.nearest.tolist() == [0, 0, 1, 1, 1]
    assert made.centres.flatten().tolist() == [0.5, 6.0]
    assert made.spread == 0.25 + 0.25 + 4 + 1 + 9


def test_rounds_are_limited() -> None:
    points = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    made = lloyd(points, torch.tensor([[0.0], [1.0]]), rounds=0)
    assert (made.nearest.tolist(), made.centres.flatten().tolist()) == ([0, 1, 1, 1], [0.0, 1.0])
    assert lloyd(points, torch.tensor([[0.0], [1.0]])).nearest.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_equal_centres_lead_where_scikit_learn_s_do(seed: int) -> None:
    points = drawn(200, seed=seed)
    made = lloyd(points, points[:7])
    oracle = KMeans(7, init=points[:7].numpy(), n_init=1, tol=0, algorithm="lloyd").fit(points.numpy())
    np.testing.assert_array_equal(made.nearest, oracle.labels_)
    np.testing.assert_allclose(made.centres, oracle.cluster_centers_, atol=1e-9)
    assert made.spread == pytest.approx(oracle.inertia_)


def test_the_best_of_several_starts_is_as_good_as_scikit_learn_s() -> None:
    torch.manual_seed(0)
    points = drawn(300)
    oracle = KMeans(10, n_init=10, random_state=0).fit(points.numpy())
    assert k_means(points, 10).spread < 1.03 * oracle.inertia_
    torch.manual_seed(0)
    alone = [lloyd(points, spread_out(points, 10)).spread for _ in range(10)]
    torch.manual_seed(0)
    assert k_means(points, 10).spread == min(alone) < max(alone)


def test_far_groups_are_found() -> None:
    torch.manual_seed(0)
    groups = torch.arange(4).repeat_interleave(5)
    points = drawn(20) + 100 * torch.nn.functional.one_hot(groups, 5)
    nearest = k_means(points, 4, starts=1).nearest
    assert (
        len({(group, cluster) for group, cluster in zip(groups.tolist(), nearest.tolist(), strict=True)}) == 4
    )


def test_first_centres_are_points_that_lie_apart() -> None:
    """A point at distance 0 of a centre has the probability 0."""
    points = torch.tensor([[0.0], [0.0], [0.0], [1.0], [2.0]])
    for seed in range(20):
        torch.manual_seed(seed)
        assert sorted(spread_out(points, 3).flatten().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("points", [torch.zeros(1, 3), torch.ones(4, 3), drawn(3, channels=3)])
def test_fewer_points_than_clusters(points: torch.Tensor) -> None:
    made = k_means(points, 10)
    assert len(made.centres) == len(points)
    assert made.spread == pytest.approx(0)
    torch.testing.assert_close(made.centres[made.nearest], points)
