"""Roll-out, relevance, affinity and contrast against numbers worked by hand and NumPy loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from swtformer.functional.attention import (
    attention_rollout,
    class_token_contrast,
    fused_heads,
    head_relevance,
    relevance_rollout,
    spread_by_affinity,
    without_weakest,
)


def attention_of(*size: int, seed: int = 1) -> torch.Tensor:
    """Random attention whose rows sum to 1."""
    values = torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.softmax(-1)


def test_fused_heads_by_hand() -> None:
    attention = torch.tensor([[[[0.2, 0.8], [0.5, 0.5]], [[0.6, 0.4], [1.0, 0.0]]]])
    torch.testing.assert_close(
        fused_heads(attention, heads="mean"), torch.tensor([[[0.4, 0.6], [0.75, 0.25]]])
    )
    assert fused_heads(attention, heads="max").tolist() == attention.amax(1).tolist()
    torch.testing.assert_close(fused_heads(attention, heads="min"), torch.tensor([[[0.2, 0.4], [0.5, 0.0]]]))


def test_the_weakest_are_discarded_in_each_image() -> None:
    """Half of nine values is four; the first token's attention to itself stays, though it is the weakest."""
    first = torch.tensor([[0.0, 0.1, 0.9], [0.2, 0.3, 0.5], [0.4, 0.25, 0.35]])
    second = first.flip(0)
    made = without_weakest(torch.stack([first, second]), discard=0.5)
    torch.testing.assert_close(made[0], torch.tensor([[0, 0, 0.9], [0, 0.3, 0.5], [0.4, 0, 0.35]]))
    torch.testing.assert_close(made[1], torch.tensor([[0.4, 0, 0.35], [0, 0.3, 0.5], [0, 0, 0.9]]))
    kept = torch.tensor([[[0.05, 0.95], [0.5, 0.5]]])
    assert without_weakest(kept, discard=0.25)[0, 0, 0] == kept[0, 0, 0]
    assert without_weakest(kept, discard=0.0) is kept


def test_rollout_by_hand() -> None:
    """(A + I) / 2 is [[.75, .25], [0, 1]] and [[.6, .4], [.3, .7]]; the first row of the second's product."""
    first = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])
    second = torch.tensor([[[0.2, 0.8], [0.6, 0.4]]])
    torch.testing.assert_close(attention_rollout([first, second]), torch.tensor([[0.45, 0.55]]))
    torch.testing.assert_close(attention_rollout([first]), torch.tensor([[0.75, 0.25]]))


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_rollout_is_the_product_of_all_layers(scale: float) -> None:
    """Rows that do not sum to 1 are divided by their own sums, not by those of columns."""
    layers = [scale * attention_of(2, 5, 5, seed=seed) ** 2 for seed in range(4)]
    made = attention_rollout(layers)
    for image in range(2):
        product = np.eye(5)
        for layer in layers:
            mixed = (layer[image].numpy() + np.eye(5)) / 2
            for row in range(5):
                mixed[row] /= mixed[row].sum()
            product = mixed @ product
        np.testing.assert_allclose(made[image], product[0])
    torch.testing.assert_close(made.sum(1), torch.ones(2, dtype=torch.float64))


def test_negative_relevance_of_a_head_does_not_cancel_another() -> None:
    attention = torch.tensor([[[[0.5, 0.5], [0.2, 0.8]], [[0.5, 0.5], [1.0, 0.0]]]])
    gradient = torch.tensor([[[[2.0, -2.0], [1.0, 0.0]], [[-4.0, 4.0], [3.0, 5.0]]]])
    expected = torch.tensor([[[0.5, 1.0], [1.6, 0.0]]])
    torch.testing.assert_close(head_relevance(attention, gradient), expected)


def test_relevance_is_added_layer_by_layer() -> None:
    layers = [attention_of(2, 4, 4, seed=seed) for seed in range(3)]
    made = relevance_rollout(layers)
    for image in range(2):
        relevance = np.eye(4)
        for layer in layers:
            relevance = relevance + layer[image].numpy() @ relevance
        np.testing.assert_allclose(made[image], relevance[0])


def test_maps_are_spread_to_what_patches_attend_to() -> None:
    maps = torch.rand(2, 3, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    affinity = attention_of(2, 8, 8)
    made = spread_by_affinity(maps, affinity)
    assert made.shape == maps.shape
    for image in range(2):
        for label in range(3):
            flat = maps[image, label].flatten()
            for patch in range(8):
                expected = sum(affinity[image, patch, other] * flat[other] for other in range(8))
                assert made[image, label, patch // 4, patch % 4].item() == pytest.approx(expected.item())


def test_contrast_by_hand() -> None:
    """Orthogonal tokens cost log(e + 1) - 1 for two classes, equal ones log 2, whatever their length."""
    orthogonal = torch.tensor([[[[3.0, 0.0], [0.0, 0.5]]]])
    both = torch.ones(1, 2)
    assert class_token_contrast(orthogonal, both).item() == pytest.approx(math.log(math.e + 1) - 1)
    equal = torch.ones(4, 1, 2, 3) * torch.tensor([1.0, 7.0])[:, None]
    assert class_token_contrast(equal, both).item() == pytest.approx(math.log(2))
    assert class_token_contrast(equal, torch.zeros(1, 2)).item() == 0


def test_contrast_is_a_mean_over_present_classes() -> None:
    """Absent classes count as others, and cost nothing themselves."""
    tokens = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    present = torch.tensor([[1.0, 0, 1, 1], [0, 1, 0, 0]])
    expected = []
    for image in range(2):
        costs = []
        for label in range(4):
            if not present[image, label]:
                continue
            for layer in tokens[:, image].numpy():
                unit = layer / np.linalg.norm(layer, axis=1, keepdims=True)
                cosines = unit @ unit[label]
                costs.append(np.log(np.exp(cosines).sum()) - cosines[label])
        expected.append(np.mean(costs))
    assert class_token_contrast(tokens, present).item() == pytest.approx(np.mean(expected))


def test_gradients() -> None:
    tokens = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[1.0, 0, 1], [0, 0, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda each: class_token_contrast(each, present), tokens)
