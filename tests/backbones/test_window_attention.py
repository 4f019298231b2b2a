from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch

from swtformer.backbones import window_attention
from swtformer.backbones.window_attention import WindowAttention

WINDOW = 7
GRIDS = [(7, 7), (14, 14), (16, 16), (24, 24), (9, 17), (5, 20), (20, 5), (8, 7), (29, 15), (3, 4), (1, 1)]


def attention(shift: int, *, width: int = 8, heads: int = 2) -> WindowAttention:
    torch.manual_seed(0)
    module = WindowAttention(width, heads=heads, window=WINDOW, shift=shift).double()
    torch.nn.init.normal_(module.relative_position_bias_table)
    return module


def group(position: int, length: int, shift: int) -> int:
    """Window of a row or column when windows start at `shift`, without padding or rolling."""
    return 0 if length <= WINDOW else (position - shift) // WINDOW


def attend_by_loops(module: WindowAttention, tokens: np.ndarray) -> np.ndarray:
    """Every token attends to those of its window: no padding, no roll, no mask, one token at a time."""
    height, width, channels = tokens.shape
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    query, key, value = np.split(tokens @ state["qkv.weight"].T + state["qkv.bias"], 3, axis=-1)
    size = channels // module.heads
    result = np.zeros_like(tokens)
    places = [(row, column) for row in range(height) for column in range(width)]
    window_of = {
        (row, column): (group(row, height, module.shift), group(column, width, module.shift))
        for row, column in places
    }
    for place in places:
        others = [other for other in places if window_of[other] == window_of[place]]
        for head in range(module.heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.array(
                [
                    query[place][part] @ key[other][part] / np.sqrt(size)
                    + state["relative_position_bias_table"][
                        (place[0] - other[0] + WINDOW - 1) * (2 * WINDOW - 1)
                        + place[1]
                        - other[1]
                        + WINDOW
                        - 1,
                        head,
                    ]
                    for other in others
                ]
            )
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            result[place][part] = sum(
                share * value[other][part] for share, other in zip(shares, others, strict=True)
            )
    return result @ state["proj.weight"].T + state["proj.bias"]


@functools.cache
def attended_by_loops(grid: tuple[int, int], shift: int) -> tuple[torch.Tensor, np.ndarray]:
    """Tokens of two images, and the attention by loops."""
    tokens = torch.randn(2, *grid, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module = attention(shift)
    return tokens, np.stack([attend_by_loops(module, image) for image in tokens.numpy()])


@pytest.mark.parametrize("tokens_at_once", [1, 500, 10**6])
@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("grid", GRIDS)
@torch.no_grad()
def test_equals_attention_by_loops_on_any_grid(
    grid: tuple[int, int], shift: int, tokens_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bands of one row of windows, of two on the wider grids, and as a whole."""
    monkeypatch.setattr(window_attention, "TOKENS_AT_ONCE", tokens_at_once)
    module = attention(shift).eval()
    tokens, expected = attended_by_loops(grid, shift)
    np.testing.assert_allclose(module(tokens).numpy(), expected, rtol=0, atol=1e-12)


def test_gradients_are_right_on_a_padded_shifted_grid() -> None:
    module = attention(3, width=2, heads=1)
    tokens = torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda tokens, _: module(tokens), (tokens, module.relative_position_bias_table)
    )


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_plain_products_equal_the_fused_attention(windows: int, dtype: torch.dtype, tolerance: float) -> None:
    """Fused without a gradient of the bias; with it, products give the same, and its gradient."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randn(3, 6, 2, 49, 16, generator=generator)
    bias, weights = (
        torch.randn(*size, generator=generator) for size in ((windows, 2, 49, 49), (6, 2, 49, 16))
    )
    bias[:, :, :, 40:] = -torch.inf

    def attended(dtype: torch.dtype, *, plain: bool) -> list[torch.Tensor]:
        inputs = [*tokens.to(dtype, copy=True).unbind(), bias.to(dtype, copy=True)]
        for item in inputs[: 4 if plain else 3]:
            item.requires_grad_()
        made = window_attention.attend(*inputs)
        made.backward(weights.to(dtype))
        return [made.detach().double(), *(item.grad.double() for item in inputs if item.requires_grad)]

    made, exact, fused = (
        attended(dtype, plain=True),
        attended(torch.float64, plain=True),
        attended(dtype, plain=False),
    )
    for own, expected in ((made, exact), (fused, exact)):
        for each, reference in zip(own, expected, strict=False):
            assert (each - reference).norm() <= tolerance * reference.norm()


def test_the_cached_bias_follows_the_table() -> None:
    module = attention(0).eval()
    tokens = torch.randn(1, 7, 7, 8, dtype=torch.float64)
    with torch.no_grad():
        before = module(tokens)
        assert torch.equal(module(tokens), before)
        module.relative_position_bias_table.mul_(-1)
        changed = module(tokens)
        assert not torch.equal(changed, before)
        module.load_state_dict(attention(0).state_dict())
        assert torch.equal(module(tokens), before)
        assert torch.equal(copy.deepcopy(module)(tokens), before)


def test_tables_made_in_inference_mode_can_be_trained_with_later() -> None:
    module = attention(3)
    module.relative_position_bias_table.requires_grad_(False)
    tokens = torch.randn(1, 11, 13, 8, dtype=torch.float64)
    with torch.inference_mode():
        before = module(tokens)
    after = module(tokens)
    after.sum().backward()
    torch.testing.assert_close(after, before)
    assert module.qkv.weight.grad is not None


def test_half_precision_stays_near_full() -> None:
    module = attention(3).float().eval()
    tokens = torch.randn(2, 10, 9, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = module(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(module(tokens).float(), exact, rtol=0, atol=0.05)
        torch.testing.assert_close(module(tokens), exact, rtol=0, atol=0)


def test_an_accelerator_takes_more_tokens_at_a_time() -> None:
    on_cpu = window_attention.tokens_at_once(torch.empty(1))
    assert on_cpu == window_attention.TOKENS_AT_ONCE
    assert window_attention.tokens_at_once(torch.empty(1, device="meta")) > on_cpu
