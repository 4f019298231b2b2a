"""Random walk of maps over pixel affinities (METHOD 7), without the dense (hw)² matrix and at any size."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from swtformer.functional.affinity import half_disc

TOLERANCE = 1e-7
"""Largest truncation error of the walk's polynomial, relative to the maps' norm: about fp32's rounding."""


@torch.no_grad()
def random_walk(maps: Tensor, affinity: Tensor, *, radius: int, beta: float, steps: int) -> Tensor:
    """Average every map over the places that a random walker reaches in n steps: Tⁿ M with T = D⁻¹ A.

    A is the symmetric matrix of affinity^beta between neighbours, with 1 on its diagonal (a walker may stay),
    and D its row sums. PSA and IRN build T densely and square it t times, so n = 2^t. Here

    - A is a stencil: P weights per pixel, applied to flat maps as 2P shifted multiply-adds;
    - Tⁿ = D^-½ Sⁿ D^½ with the symmetric S = D^-½ A D^-½, whose eigenvalues lie in [-1, 1];
    - Sⁿ is expanded in Chebyshev polynomials, xⁿ = Σ_k c_k T_k(x), where c_k is the probability that n fair
      coins end k apart. The c_k sum to 1 and vanish beyond a few √n, so 256 steps take 84 products. The
      truncation error is at most `TOLERANCE` (Sachdeva and Vishnoi 2014, doi:10.1561/0400000065, ch. 3).

    The result equals that of the dense matrix up to rounding. It is computed in float64, as the recurrence of
    the polynomials amplifies fp32's rounding errors (to 5e-4).

    Args:
        maps: (…, K, h, w) float, any K; leading dimensions are independent images.
        affinity: (…, P, h, w) in [0, 1] of pairs as in `functional.affinity`; 0 beyond the border.
        radius: radius of the pairs.
        beta: power of the affinities; larger ones keep the walker inside objects.
        steps: n, at least 0.

    Returns:
        (…, K, h, w) float32, within the range of each map.

    Raises:
        ValueError: the shapes of maps and affinities do not match, or the number of pairs is not that of the
            radius.
    """
    offsets = half_disc(radius)
    *images, count, height, width = maps.shape
    expected = (*images, len(offsets), height, width)
    if affinity.shape != expected:
        raise ValueError(
            f"Expected affinities {expected} for maps of {tuple(maps.shape)} and radius {radius}, got "
            f"{tuple(affinity.shape)}."
        )
    if not maps.numel():
        return maps.float()
    device = maps.device
    if device.type == "mps":  # has no float64
        maps, affinity = maps.cpu(), affinity.cpu()
    maps = maps.double()
    # With rows padded to the right, the step to a neighbour is one shift of the flat map; steps out of the
    # image have weight 0.
    stride = width + radius - 1
    shifts = [dy * stride + dx for dy, dx in offsets]
    weights = maps.new_zeros(*images, len(offsets), height, stride)
    weights[..., :width] = affinity.double().clamp(0, 1) ** beta
    state = maps.new_zeros(*images, count, height, stride)
    state[..., :width] = maps
    state = state.flatten(-2)

    length = height * stride
    stencil = [
        (shift, weight[..., None, : length - shift])
        for shift, weight in zip(shifts, weights.flatten(-2).unbind(-2), strict=True)
        if shift < length
    ]

    ones = state.new_ones(*images, 1, length)
    root = _stepped(ones, stencil, ones).rsqrt_()
    for shift, weight in stencil:
        weight *= root[..., : length - shift]
        weight *= root[..., shift:]
    diagonal = root * root

    state /= root
    coefficients = _coefficients(steps)
    before, current = state, _stepped(state, stencil, diagonal)
    walked = coefficients[0] * before
    for k, coefficient in enumerate(coefficients[1:], start=1):
        if k > 1:
            before, current = current, _stepped(current, stencil, diagonal).mul_(2).sub_(before)
        if coefficient:
            walked.add_(current, alpha=coefficient)
    walked = (walked * root).view(*images, count, height, stride)[..., :width]
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return walked.clamp(low, high).float().to(device)


def _stepped(state: Tensor, stencil: list[tuple[int, Tensor]], diagonal: Tensor) -> Tensor:
    """Product of a symmetric stencil of (shift, weights) with flat maps (…, K, N)."""
    length = state.shape[-1]
    product = state * diagonal
    for shift, weight in stencil:
        product[..., : length - shift].addcmul_(weight, state[..., shift:])
        product[..., shift:].addcmul_(weight, state[..., : length - shift])
    return product


@cache
def _coefficients(steps: int) -> tuple[float, ...]:
    """Chebyshev coefficients of x^steps, truncated where the rest sums to at most `TOLERANCE`."""
    coefficients = [
        0.0 if (steps - k) % 2 else math.comb(steps, (steps - k) // 2) * (2 if k else 1) / 2**steps
        for k in range(steps + 1)
    ]
    rest = 0.0
    while rest + coefficients[-1] <= TOLERANCE:
        rest += coefficients.pop()
    return tuple(coefficients)
