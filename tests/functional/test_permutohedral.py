"""The lattice against a dictionary of its corners, and against the Gaussian that it approximates."""

from collections import defaultdict
from itertools import permutations

import numpy as np
import pytest
import torch

from swtformer.functional.permutohedral import PermutohedralLattice


def elevated(features: np.ndarray) -> np.ndarray:
    """Points of the plane Σx = 0, scaled as in the paper, by an orthogonal basis of that plane."""
    dimensions = features.shape[1]
    basis = np.zeros((dimensions + 1, dimensions))
    for i in range(dimensions):
        basis[: i + 1, i] = 1
        basis[i + 1, i] = -(i + 1)
        basis[:, i] /= np.linalg.norm(basis[:, i])
    return features @ basis.T * np.sqrt(2 / 3) * (dimensions + 1)


def corners(point: np.ndarray) -> dict[tuple[int, ...], float]:
    """Lattice points around a point of the plane, with barycentric weights, found by trying all orders."""
    size = len(point)
    for rounded in _remainder_zero(point, size):
        rest = point - rounded
        for order in permutations(range(size)):
            falling = rest[list(order)] / size
            weights = [1 + falling[-1] - falling[0]] + [
                falling[size - 1 - k] - falling[size - k] for k in range(1, size)
            ]
            if min(weights) >= -1e-12:
                found = {}
                for k, weight in enumerate(weights):
                    corner = rounded.copy()
                    for rank, axis in enumerate(order):
                        corner[axis] += k if rank < size - k else k - size
                    found[tuple(corner.astype(int))] = weight
                return found
    raise AssertionError("no simplex")


def _remainder_zero(point: np.ndarray, size: int) -> list[np.ndarray]:
    """Candidates with coordinates that are multiples of d + 1 and sum to 0."""
    near = np.round(point / size) * size
    excess = round(float(near.sum()) / size)
    order = np.argsort((point - near) * np.sign(excess or 1))
    near[order[: abs(excess)]] -= np.sign(excess) * size
    return [near]


def loop(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Splat, blur, slice on a dictionary."""
    size = features.shape[1] + 1
    simplices = [corners(point) for point in elevated(features)]
    table: dict[tuple[int, ...], np.ndarray] = defaultdict(lambda: np.zeros(values.shape[1]))
    for simplex, value in zip(simplices, values, strict=True):
        for corner, weight in simplex.items():
            table[corner] = table[corner] + weight * value
    for axis in range(size):
        step = np.full(size, -1)
        step[axis] = size - 1
        table = {
            corner: value
            + 0.5 * sum(table.get(tuple(np.array(corner) + sign * step), 0 * value) for sign in (1, -1))
            for corner, value in table.items()
        }
    return np.array([sum(weight * table[corner] for corner, weight in item.items()) for item in simplices])


@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_equals_the_dictionary(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    features, values = rng.normal(0, 1.5, (40, dimensions)), rng.random((40, 2))
    filtered = PermutohedralLattice(torch.from_numpy(features)).filter(torch.from_numpy(values))
    np.testing.assert_allclose(filtered.numpy(), loop(features, values), rtol=1e-9)


def test_approximates_a_gaussian() -> None:
    y, x = np.mgrid[:24, :30]
    features = np.stack([x.ravel(), y.ravel()], 1) / 4
    values = np.random.default_rng(0).random((len(features), 1))
    squared = ((features[:, None] - features) ** 2).sum(-1)
    kernel = np.exp(-squared / 2)
    roots = 1 / np.sqrt(kernel.sum(1, keepdims=True))
    lattice = PermutohedralLattice(torch.from_numpy(features))
    lattice.normalise()
    exact = roots * (kernel @ (roots * values))
    np.testing.assert_allclose(lattice.filter(torch.from_numpy(values)).numpy(), exact, rtol=0.05)


def test_one_point_and_equal_points() -> None:
    for count in (1, 7):
        lattice = PermutohedralLattice(torch.full((count, 5), 0.3))
        lattice.normalise()
        values = torch.arange(count, dtype=torch.float32)[:, None]
        torch.testing.assert_close(lattice.filter(values), values.mean().expand(count, 1))


def test_the_order_of_the_points_and_their_place_change_nothing() -> None:
    torch.manual_seed(0)
    features, values = torch.randn(50, 3).double(), torch.rand(50, 2).double()
    filtered = PermutohedralLattice(features).filter(values)
    order = torch.randperm(50)
    torch.testing.assert_close(PermutohedralLattice(features[order]).filter(values[order]), filtered[order])
    torch.testing.assert_close(PermutohedralLattice(features).filter(values), filtered, atol=0, rtol=0)


def test_sets_of_points_do_not_see_one_another() -> None:
    torch.manual_seed(0)
    features, values = torch.randn(3, 40, 2).double(), torch.rand(3, 40, 2).double()
    features[1] = features[0]  # equal places in two sets are not one place
    features[2] += 30
    lattice = PermutohedralLattice(features)
    lattice.normalise()
    filtered = lattice.filter(values)
    for i in range(3):
        alone = PermutohedralLattice(features[i])
        alone.normalise()
        torch.testing.assert_close(filtered[i], alone.filter(values[i]))


def test_too_small_a_standard_deviation_is_refused() -> None:
    with pytest.raises(ValueError, match="standard deviations are too small"):
        PermutohedralLattice(torch.tensor([[0.0] * 5, [1e5] * 5]))
    for far in (2.0**20, torch.inf, torch.nan):  # on one axis, whose keys would have room
        with pytest.raises(ValueError, match="standard deviations are too small"):
            PermutohedralLattice(torch.tensor([[0.0], [far]]))
    fits_once = torch.tensor([[0.0] * 5, [900.0] * 5])
    PermutohedralLattice(fits_once)
    with pytest.raises(ValueError, match="standard deviations are too small"):
        PermutohedralLattice(fits_once.expand(10_000, -1, -1))


def test_keys_too_large_to_pack_with_their_places_are_sorted_too() -> None:
    torch.manual_seed(0)
    near, values = torch.rand(40, 5).double(), torch.rand(42, 2).double()
    # Two far points make the keys large, and change nothing between the others.
    for far in (300.0, 1000.0):
        features = torch.cat([near, torch.full((1, 5), -far), torch.full((1, 5), far)])
        filtered = PermutohedralLattice(features).filter(values)
        np.testing.assert_allclose(filtered.numpy(), loop(features.numpy(), values.numpy()), rtol=1e-9)
