"""Pairs of pixels, their affinities and labels, and the loss, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from swtformer.functional.affinity import (
    IGNORED,
    LabelPairs,
    affinity_loss,
    boundary_affinity,
    feature_affinity,
    half_disc,
    label_pairs,
    pixels_between,
    surest_labels,
)

SIZES = [(6, 8), (1, 1), (1, 7), (9, 2), (3, 3)]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_half_disc_and_its_mirror_image_are_the_disc() -> None:
    half = half_disc(5)
    whole = {(y, x) for y in range(-4, 5) for x in range(-4, 5) if 0 < y * y + x * x < 25}
    assert len(half) == 34
    assert {*half, *((-y, -x) for y, x in half)} == whole
    assert len(half_disc(10)) == 152
    with pytest.raises(ValueError, match="radius of at least 2, got 1"):
        half_disc(1)


def test_paths_hold_both_ends_and_what_lies_between() -> None:
    assert pixels_between((0, 3)) == ((0, 0), (0, 1), (0, 2), (0, 3))
    assert pixels_between((2, -2)) == ((0, -1), (0, 0), (1, -2), (1, -1), (1, 0), (2, -2), (2, -1))
    for offset in half_disc(10):
        path = pixels_between(offset)
        assert (0, 0) in path
        assert offset in path
        length = math.hypot(*offset)
        for y, x in path:
            assert abs(offset[0] * x - offset[1] * y) / length < 1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_feature_affinity_is_the_loop(height: int, width: int) -> None:
    features = random(2, 3, height, width)
    made = feature_affinity(features, radius=3).numpy()
    expected = np.zeros((2, len(half_disc(3)), height, width))
    for b in range(2):
        for p, (dy, dx) in enumerate(half_disc(3)):
            for y in range(height):
                for x in range(width):
                    if y + dy < height and 0 <= x + dx < width:
                        gap = (features[b, :, y, x] - features[b, :, y + dy, x + dx]).abs().mean()
                        expected[b, p, y, x] = math.exp(-float(gap))
    np.testing.assert_allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_boundary_affinity_is_the_loop(height: int, width: int) -> None:
    boundaries = random(2, height, width)
    made = boundary_affinity(boundaries, radius=4).numpy()
    expected = np.zeros((2, len(half_disc(4)), height, width))
    for b in range(2):
        for p, (dy, dx) in enumerate(half_disc(4)):
            for y in range(height):
                for x in range(width):
                    if y + dy < height and 0 <= x + dx < width:
                        path = [float(boundaries[b, y + v, x + u]) for v, u in pixels_between((dy, dx))]
                        expected[b, p, y, x] = 1 - max(path)
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_gradients_of_both_affinities() -> None:
    features = random(1, 2, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: feature_affinity(x, radius=3), features)
    boundaries = random(1, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: boundary_affinity(x, radius=3), boundaries)


def test_memory_of_the_backward_pass_does_not_grow_with_channels_times_pairs() -> None:
    features = torch.rand(1, 50, 6, 7, requires_grad=True)
    kept = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        affinity = feature_affinity(features, radius=5)
    assert sum(kept) == features.numel() + affinity.numel()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_label_pairs_are_the_loop(height: int, width: int) -> None:
    labels = torch.tensor([0, 3, 7, IGNORED])[(random(2, height, width) * 4).long()]
    pairs = label_pairs(labels, radius=3)
    for b in range(2):
        for p, (dy, dx) in enumerate(half_disc(3)):
            for y in range(height):
                for x in range(width):
                    kinds = [
                        bool(kind[b, p, y, x])
                        for kind in (pairs.background, pairs.foreground, pairs.different)
                    ]
                    inside = y + dy < height and 0 <= x + dx < width
                    first = int(labels[b, y, x])
                    second = int(labels[b, y + dy, x + dx]) if inside else IGNORED
                    known = IGNORED not in (first, second)
                    same = first == second
                    assert kinds == [
                        known and same and first == 0,
                        known and same and first > 0,
                        known and not same,
                    ]


def test_affinity_loss_by_hand() -> None:
    affinity = torch.tensor([0.5, 0.25, 0.8, 0.1, 0.9]).view(1, 5, 1, 1)

    def chosen(*places: int) -> torch.Tensor:
        mask = torch.zeros(5, dtype=torch.bool)
        mask[list(places)] = True
        return mask.view(1, 5, 1, 1)

    pairs = LabelPairs(background=chosen(0, 1), foreground=chosen(2), different=chosen(3))
    expected = (math.log(2) + math.log(4)) / 2 / 4 - math.log(0.8) / 4 - math.log(0.9) / 2
    assert affinity_loss(affinity, pairs).item() == pytest.approx(expected, abs=1e-4)


def test_affinity_loss_without_pairs_is_zero_and_finite_at_the_ends() -> None:
    nothing = torch.zeros(1, 2, 3, 3, dtype=torch.bool)
    everything = ~nothing
    pairs = LabelPairs(nothing, nothing, nothing)
    assert affinity_loss(random(1, 2, 3, 3), pairs).item() == 0
    ends = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    assert affinity_loss(ends, LabelPairs(everything, everything, everything)).isfinite()


def test_surest_labels_keep_a_part_of_every_class() -> None:
    maps = torch.tensor(
        [[[0.9, 0.8, 0.7, 0.6, 0.1, 0.2, 0.3, 0.4]], [[0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, 0.6]]]
    )
    labels = surest_labels(maps, torch.tensor([5]), part=0.5)
    assert labels.dtype == torch.uint8
    assert labels.tolist() == [[0, 0, 255, 255, 5, 5, 255, 255]]
    assert surest_labels(maps, torch.tensor([5]), part=1.0).tolist() == [[0] * 4 + [5] * 4]
    assert surest_labels(maps, torch.tensor([5]), part=0.01).tolist() == [
        [0, 255, 255, 255, 5, 255, 255, 255]
    ]


def test_surest_labels_do_not_depend_on_scale() -> None:
    maps = random(3, 9, 9) + 0.1
    values = torch.tensor([2, 4])
    first = surest_labels(maps, values, part=0.6)
    assert torch.equal(first, surest_labels(maps * 0.25, values, part=0.6))
    swapped = surest_labels(maps[[0, 2, 1]], torch.tensor([4, 2]), part=0.6)
    assert torch.equal(first, swapped)


def test_surest_labels_without_classes_or_evidence() -> None:
    assert surest_labels(torch.rand(1, 1, 1), torch.zeros(0, dtype=torch.long), part=0.6).tolist() == [[0]]
    dead = torch.cat([torch.ones(1, 2, 2), torch.zeros(1, 2, 2)])
    assert surest_labels(dead, torch.tensor([1]), part=0.6).eq(0).all()
    half_empty = torch.tensor([[[0.0, 0.0, 0.9, 0.0]], [[0.0, 0.0, 0.1, 0.5]]])
    assert surest_labels(half_empty, torch.tensor([5]), part=1.0).tolist() == [[255, 255, 0, 5]]
