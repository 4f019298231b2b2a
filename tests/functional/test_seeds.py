"""Eq. 4, seeds, prototypes and R-CAMs against NumPy loops, hand-made cases and invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swtformer.functional.activation import scaled_to_maximum
from swtformer.functional.seeds import (
    background_weights,
    locate_seeds,
    otsu_threshold,
    prototype_refinement,
    prototype_similarity,
    prototypes,
    refined_maps,
    token_affinity,
)


def _inputs(seed: int = 0, classes: int = 3, h: int = 3, w: int = 4) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 6, h, w, generator=generator, dtype=torch.float64)
    maps = torch.rand(2, classes + 1, h, w, generator=generator, dtype=torch.float64)
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)[:, :classes]
    maps[:, 1:] *= present[:, :, None, None]
    return features, maps, present


def _seeds_by_loop(
    features: np.ndarray, maps: np.ndarray, present: np.ndarray, affinity: str, weight: float
) -> np.ndarray:
    """METHOD 2, one token and one class at a time."""
    batch, channels, h, w = maps.shape
    seeds = np.zeros_like(maps)
    for b in range(batch):
        tokens = features[b].reshape(features.shape[1], -1).T
        flat = maps[b].reshape(channels, -1)
        for i in range(h * w):
            row = []
            for j in range(h * w):
                cosine = tokens[i] @ tokens[j] / (np.linalg.norm(tokens[i]) * np.linalg.norm(tokens[j]))
                row.append(abs(cosine) if affinity == "abs" else max(cosine, 0))
            best, winner = -1.0, 0
            for c in range(channels):
                if c > 0 and not present[b, c - 1]:
                    continue
                shared = sum(row[j] * flat[c, j] for j in range(h * w))
                overlap = shared / (sum(row) + flat[c].sum() - shared) * (weight if c == 0 else 1)
                if overlap > best:
                    best, winner = overlap, c
            seeds[b, winner, i // w, i % w] = 1
    return seeds


def test_affinity_by_hand() -> None:
    tokens = torch.tensor([[[1.0, 0.0], [-2.0, 0.0], [3.0, 3.0]]])
    half = 2**-0.5
    expected = torch.tensor([[[1, 1, half], [1, 1, half], [half, half, 1]]])
    torch.testing.assert_close(token_affinity(tokens, tokens, affinity="abs"), expected)
    expected = torch.tensor([[[1, 0, half], [0, 1, 0], [half, 0, 1]]])
    torch.testing.assert_close(token_affinity(tokens, tokens, affinity="relu"), expected)


@pytest.mark.parametrize("affinity", ["abs", "relu"])
@pytest.mark.parametrize("weight", [0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_seeds_against_a_loop(affinity: str, weight: float, seed: int) -> None:
    features, maps, present = _inputs(seed)
    seeds = locate_seeds(
        features, maps, present, affinity=affinity, background_weight=weight, seedless="none"
    )
    expected = _seeds_by_loop(features.numpy(), maps.numpy(), present.numpy(), affinity, weight)
    np.testing.assert_array_equal(seeds.numpy(), expected)


def test_seeds_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    features, maps, present = _inputs(3, h=5, w=7)
    whole = locate_seeds(features, maps, present, affinity="abs", background_weight=0.5, seedless="none")
    for rows in (1, 4, 34):
        monkeypatch.setattr("swtformer.functional.seeds.ROWS_PER_BLOCK", rows)
        blocks = locate_seeds(features, maps, present, affinity="abs", background_weight=0.5, seedless="none")
        assert torch.equal(whole, blocks)


def test_seeds_follow_two_clear_regions() -> None:
    """Tokens of the left half are equal and lie under class 1, those of the right half under background."""
    features = torch.zeros(1, 2, 2, 4)
    features[:, 0, :, :2] = 1
    features[:, 1, :, 2:] = 1
    maps = torch.zeros(1, 2, 2, 4)
    maps[0, 1, 0, 0] = 1  # a CAM that lights up one token only
    maps[0, 0] = 1 - maps[0, 1]
    seeds = locate_seeds(
        features, maps, torch.ones(1, 1), affinity="abs", background_weight=0.5, seedless="none"
    )
    # Left tokens: class 1 shares 1 of 4 tokens' mass (1/4), background 3/(4+7-3) * 0.5 = 0.1875.
    assert seeds[0, 1].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    # With the factor at 1 the background (0.375) takes the left half as well.
    even = locate_seeds(
        features, maps, torch.ones(1, 1), affinity="abs", background_weight=1.0, seedless="none"
    )
    assert not even[0, 1].any()


def test_seeds_are_one_hot_among_the_present_and_carry_no_gradient() -> None:
    features, maps, present = _inputs()
    maps.requires_grad_()
    seeds = locate_seeds(features, maps, present, affinity="abs", background_weight=0.5, seedless="none")
    assert not seeds.requires_grad
    assert (seeds.sum(1) == 1).all()
    assert not seeds[0, 2].any()
    assert not seeds[1, [1, 3]].any()


def test_a_class_that_wins_no_token_gets_the_one_where_it_comes_closest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By hand, with three tokens that are orthogonal to one another."""
    features = torch.eye(3).reshape(1, 3, 1, 3)  # S is the identity
    maps = torch.tensor([[[0.2, 0.9, 0.5]], [[0.8, 0.6, 0.7]], [[0.1, 0.3, 0.3]]])[None]
    present = torch.ones(1, 2)
    options = {"affinity": "abs", "background_weight": 1.0}
    # S_ii = 1, so the overlap of token i is M_i / (1 + sum M - M_i):
    #   background (sum 1.6)  0.2/2.4  0.9/1.7  0.5/2.1  = .083 .529 .238
    #   class 1    (sum 2.1)  0.8/2.3  0.6/2.5  0.7/2.4  = .348 .240 .292
    #   class 2    (sum 0.7)  0.1/1.6  0.3/1.4  0.3/1.4  = .063 .214 .214
    # Class 2 wins none; its ratio to the winner is .180, .405, .735.
    dark = locate_seeds(features, maps, present, seedless="none", **options)
    assert dark[0, :, 0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
    seeds = locate_seeds(features, maps, present, seedless="closest", **options)
    assert seeds[0, :, 0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 1]]
    for rows in (1, 2):
        monkeypatch.setattr("swtformer.functional.seeds.ROWS_PER_BLOCK", rows)
        blocks = locate_seeds(features, maps, present, seedless="closest", **options)
        assert torch.equal(seeds, blocks)


def test_absent_classes_and_the_background_get_no_token_when_seedless() -> None:
    features = torch.eye(3).reshape(1, 3, 1, 3)
    maps = torch.stack([torch.full((1, 3), value) for value in (0.1, 0.9, 0.5)])[None]
    seeds = locate_seeds(
        features, maps, torch.tensor([[1.0, 0.0]]), affinity="abs", background_weight=0.5, seedless="closest"
    )
    assert seeds[0, :, 0].tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_a_background_of_weight_0_gets_no_token() -> None:
    features = torch.eye(3).reshape(1, 3, 1, 3)
    maps = torch.tensor([[[0.9, 0.9, 0.9]], [[0.0, 0.2, 0.0]]])[None]
    seeds = locate_seeds(
        features, maps, torch.ones(1, 1), affinity="abs", background_weight=0.0, seedless="closest"
    )
    assert seeds[0, :, 0].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_seeds_refuse_two_grids() -> None:
    features, maps, present = _inputs()
    with pytest.raises(ValueError, match="share a grid"):
        locate_seeds(features[..., :2], maps, present, affinity="abs", background_weight=0.5, seedless="none")


def _refined_by_loop(features: np.ndarray, seeds: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Cosine with each class's mean seed feature, one token and one class at a time."""
    batch, channels = seeds.shape[:2]
    h, w = features.shape[2:]
    similarities = np.zeros((batch, channels, h, w))
    for b in range(batch):
        for c in range(channels):
            chosen = features[b][:, seeds[b, c] > 0]
            if (c > 0 and not present[b, c - 1]) or not chosen.size:
                continue
            centre = chosen.mean(1)
            for y in range(h):
                for x in range(w):
                    token = features[b, :, y, x]
                    cosine = token @ centre / (np.linalg.norm(token) * np.linalg.norm(centre))
                    similarities[b, c, y, x] = max(cosine, 0)
    return similarities


@pytest.mark.parametrize("affinity", ["abs", "relu"])
@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_refinement_against_loops(affinity: str, weight: float) -> None:
    """Seeds on a 3×4 grid, features of another width on 6×8."""
    tokens, maps, present = _inputs(5)
    generator = torch.Generator().manual_seed(6)
    features = torch.randn(2, 5, 6, 8, generator=generator, dtype=torch.float64)
    made = prototype_refinement(
        tokens, features, maps, present, affinity=affinity, background_weight=weight, seedless="none"
    )
    seeds = _seeds_by_loop(tokens.numpy(), maps.numpy(), present.numpy(), affinity, weight)
    np.testing.assert_array_equal(made.seeds.numpy(), seeds)
    enlarged = seeds.repeat(2, -1).repeat(2, -2)
    expected = _refined_by_loop(features.numpy(), enlarged, present.numpy())
    np.testing.assert_allclose(made.similarities.numpy(), expected, atol=1e-12)
    largest = expected.max((-2, -1), keepdims=True)
    rcam = refined_maps(made.similarities, scaled="each").numpy()
    np.testing.assert_allclose(rcam, expected / (largest + 1e-5), atol=1e-12)
    rcam = refined_maps(made.similarities, scaled="together").numpy()
    largest = expected.max((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(rcam, expected / (largest + 1e-5), atol=1e-12)


@pytest.mark.parametrize("seedless", ["none", "closest"])
def test_refinement_hands_its_options_on(seedless: str) -> None:
    tokens, maps, present = _inputs(8)
    maps[:, 1:] *= 0.01  # so small that the background wins every token
    made = prototype_refinement(
        tokens, tokens, maps, present, affinity="abs", background_weight=1.0, seedless=seedless
    )
    assert made.similarities[0, 1].any() == (seedless == "closest")


def test_absent_classes_take_seeds_where_they_compete() -> None:
    """The absent class wins the second place, which is then no seed of the present one."""
    tokens = torch.eye(2)[None, :, None]
    maps = torch.tensor([[0.0, 0.0], [1.0, 0.4], [0.0, 0.8]]).view(1, 3, 1, 2)
    present = torch.tensor([[1.0, 0.0]])

    def first_map(**options: torch.Tensor) -> list[float]:
        made = prototype_refinement(
            tokens,
            tokens,
            maps,
            present,
            affinity="abs",
            background_weight=0.5,
            seedless="none",
            **options,
        )
        assert not made.similarities[:, 2].any()
        return made.similarities[0, 1, 0].tolist()

    assert first_map() == pytest.approx([0.5**0.5, 0.5**0.5])
    assert first_map(competing=torch.ones(1, 2)) == pytest.approx([1, 0])
    assert first_map(valid=torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)) == pytest.approx([0, 1])


def test_refinement_under_autocast_is_that_of_float32() -> None:
    tokens, maps, present = (item.float() for item in _inputs(2))
    options = {"affinity": "abs", "background_weight": 0.5, "seedless": "closest"}
    expected = prototype_refinement(tokens, tokens.bfloat16().float(), maps, present, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = prototype_refinement(tokens, tokens.bfloat16(), maps, present, **options)
    assert made.similarities.dtype == torch.float32
    torch.testing.assert_close(made.similarities, expected.similarities, atol=0, rtol=0)


def test_prototypes_are_means_of_the_seeds_features() -> None:
    features = torch.tensor([[1.0, 3.0, 8.0], [0.0, 2.0, 4.0]]).view(1, 2, 1, 3)
    seeds = torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).view(1, 3, 1, 3)
    expected = torch.tensor([[[8.0, 4.0], [2.0, 1.0], [0.0, 0.0]]])
    torch.testing.assert_close(prototypes(features, seeds), expected)


def test_prototype_similarity_by_hand() -> None:
    features = torch.tensor([[3.0, 0.0], [4.0, 1.0]]).view(1, 2, 1, 2)
    centres = torch.tensor([[[0.0, 2.0], [0.0, -1.0]]])
    result = prototype_similarity(features, centres, torch.ones(1, 1))
    torch.testing.assert_close(result.view(2, 2), torch.tensor([[0.8, 1.0], [0.0, 0.0]]))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dividing_after_the_product_changes_no_similarity_and_no_gradient(
    layout: torch.memory_format,
) -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 64, 5, 6, generator=generator) * 10
    features[:, :, 1, 2] = 0
    features[:, :, 2, 3] *= 1e-9
    features = features.to(memory_format=layout)
    seeds = torch.nn.functional.one_hot(torch.randint(0, 3, (2, 5, 6), generator=generator), 4)
    seeds, present = seeds.permute(0, 3, 1, 2).float(), torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    weights = torch.rand(2, 4, 5, 6, generator=generator)

    def normalised_first(features: torch.Tensor) -> torch.Tensor:
        counts = seeds.flatten(2).sum(-1, keepdim=True).clamp_min(1)
        centres = torch.einsum("bcn,bdn->bcd", seeds.flatten(2), features.flatten(2)) / counts
        unit = torch.nn.functional.normalize(features, dim=1)
        cosine = torch.einsum("bcd,bdhw->bchw", torch.nn.functional.normalize(centres, dim=-1), unit)
        return cosine.relu() * torch.nn.functional.pad(present, (1, 0), value=1.0)[:, :, None, None]

    def divided_after(features: torch.Tensor) -> torch.Tensor:
        return prototype_similarity(features, prototypes(features, seeds), present)

    made = []
    for similarity in (normalised_first, divided_after):
        own = features.clone(memory_format=torch.preserve_format).requires_grad_()
        values = similarity(own)
        (values * weights).sum().backward()
        made.append((values.detach(), own.grad))
    torch.testing.assert_close(made[1][0], made[0][0])
    torch.testing.assert_close(made[1][1], made[0][1], rtol=1e-4, atol=1e-6)


def test_refinement_follows_a_permutation_of_classes_and_stays_in_range() -> None:
    tokens, maps, _ = _inputs(7)
    maps[:, 1:] = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    present = torch.ones(2, 3, dtype=torch.float64)
    order = [0, 3, 1, 2]
    options = {"affinity": "abs", "background_weight": 0.5, "seedless": "closest"}
    first = prototype_refinement(tokens, tokens, maps, present, **options).similarities
    first = refined_maps(first, scaled="each")
    second = prototype_refinement(tokens, tokens, maps[:, order], present, **options).similarities
    second = refined_maps(second, scaled="each")
    torch.testing.assert_close(first[:, order], second)
    assert first.min() >= 0
    assert first.max() < 1


def test_scaling_leaves_maps_of_0_at_0() -> None:
    assert not scaled_to_maximum(torch.zeros(1, 1, 2, 2)).any()


def test_gradients_reach_the_features_alone() -> None:
    tokens, maps, present = (item[:1].clone().requires_grad_() for item in _inputs(9))
    features = tokens.detach().clone().requires_grad_()
    options = {"affinity": "abs", "background_weight": 0.5, "seedless": "none"}

    def rcam(features: torch.Tensor) -> torch.Tensor:
        made = prototype_refinement(tokens, features, maps, present.detach(), **options)
        return refined_maps(made.similarities, scaled="each")

    assert torch.autograd.gradcheck(rcam, features)
    rcam(features).sum().backward()
    assert tokens.grad is None
    assert maps.grad is None


def test_no_tensor_grows_with_classes_times_tokens_squared(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 classes on 64×64 tokens: one (C+1, hw, hw) tensor alone would take 1.4 GB; blocks take far less."""
    features, maps = torch.randn(1, 8, 64, 64), torch.rand(1, 21, 64, 64)
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                sizes.append(out.numel())
            return out

    monkeypatch.setattr("swtformer.functional.seeds.ROWS_PER_BLOCK", 256)
    present, options = torch.ones(1, 20), {"affinity": "abs", "background_weight": 0.5}
    with Watch():
        locate_seeds(features, maps, present, seedless="none", **options)
    assert max(sizes) <= 256 * 64 * 64


def test_otsu_by_hand() -> None:
    """Between 1 and 5; equal values have no split, and their own value is the threshold."""
    values = torch.tensor([[7.0, 0.0, 5.0, 1.0, 0.0, 6.0], [2.0] * 6])
    torch.testing.assert_close(otsu_threshold(values), torch.tensor([3.0, 2.0]))


def _otsu_by_loop(values: np.ndarray) -> float:
    ordered = np.sort(values)
    within = [ordered[:k].var() * k + ordered[k:].var() * (len(ordered) - k) for k in range(1, len(ordered))]
    k = int(np.argmin(within)) + 1
    return float(ordered[k - 1] + ordered[k]) / 2


@pytest.mark.parametrize("seed", range(5))
def test_otsu_against_a_loop(seed: int) -> None:
    values = np.random.default_rng(seed).gamma(2, size=(3, 41))
    expected = [_otsu_by_loop(row) for row in values]
    np.testing.assert_allclose(otsu_threshold(torch.from_numpy(values)).numpy(), expected, atol=1e-12)


def test_background_weights_by_hand() -> None:
    """Ratios 1, 1, 2, 2: squares split at 2.5. An absent class does not count, and no class gives 1."""
    overlap = torch.tensor([[0.2, 0.2, 0.9], [0.1, 0.1, 0.9], [0.2, 0.4, 0.9], [0.1, 0.2, 0.9]])
    present = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    weights = background_weights(torch.stack([overlap, overlap]), present)
    torch.testing.assert_close(weights, torch.tensor([2.5 ** (0.75 / 2), 1.0]))
    torch.testing.assert_close(background_weights(overlap[None, :1], present[:1]), torch.ones(1))


def test_one_token_without_background_does_not_take_all() -> None:
    """Its ratio would be beyond all others, and a group of its own."""
    overlap = torch.rand(1, 200, 2, generator=torch.Generator().manual_seed(2)) * 0.2 + 0.2
    overlap[0, :60, 1] += 0.5
    present = torch.ones(1, 1)
    expected = background_weights(overlap, present)
    overlap[0, 0, 0] = 0
    assert background_weights(overlap, present) == pytest.approx(expected.item(), rel=0.1)


def test_background_weights_do_not_depend_on_scale_or_order() -> None:
    generator = torch.Generator().manual_seed(1)
    overlap = torch.rand(1, 30, 3, generator=generator, dtype=torch.float64)
    present = torch.ones(1, 2, dtype=torch.float64)
    expected = background_weights(overlap, present)
    torch.testing.assert_close(background_weights(overlap * 0.3, present), expected)
    torch.testing.assert_close(background_weights(overlap[:, torch.randperm(30)], present), expected)
    torch.testing.assert_close(background_weights(overlap[..., [0, 2, 1]], present), expected)


def test_seeds_take_each_image_s_own_weight() -> None:
    features, maps, present = _inputs(4)
    tokens = features.flatten(2).mT
    similarity = token_affinity(tokens, tokens, affinity="relu")
    flat = maps.flatten(2)
    shared = similarity @ flat.mT
    overlap = shared / (similarity.sum(-1, keepdim=True) + flat.sum(-1)[:, None] - shared)
    weights = background_weights(overlap, present)
    assert weights[0] != weights[1]
    seeds = locate_seeds(features, maps, present, affinity="relu", background_weight=None, seedless="none")
    for image, weight in enumerate(weights.tolist()):
        own = locate_seeds(
            features[image : image + 1],
            maps[image : image + 1],
            present[image : image + 1],
            affinity="relu",
            background_weight=weight,
            seedless="none",
        )
        torch.testing.assert_close(seeds[image], own[0])
