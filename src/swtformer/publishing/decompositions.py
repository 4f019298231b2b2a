"""Steps of a network as arithmetic that loses nothing on its way through onnxruntime.

Bilinear resizing: torch and onnxruntime both compute in float32 from which place of a map each pixel is
taken. At some hundred pixels that is off by about 1e-5 of a place, each in its own way, and between steep
values the results then differ by more than 1e-4. Here positions are whole numbers of half pixels until the
last division.

Logarithm of the sigmoid: torch's exporter writes one after the other, and onnxruntime's sigmoid is 0 from -18
down and off by some 1e-8 above, so that the logarithm is minus infinity there and off by 1e-2 at -12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, cast

import torch
from torch import Tensor

_LARGEST_DENOMINATOR = 2**10
"""Of factors that are kept as fractions, far from what products with a number of pixels would round."""


def exact_bilinear(
    maps: Tensor,
    size: Sequence[int],
    *,
    align_corners: bool = False,
    factors: Sequence[Fraction] | None = None,
) -> Tensor:
    """What `F.interpolate(maps, size, mode="bilinear")` computes, but for rounding.

    Output pixel i of N lies at ((2i + 1) n - N) / 2N places of a side of n, and at 0 where that is negative;
    with aligned corners at i (n - 1) / (N - 1). A factor takes the place of N / n where it is what was asked
    for, and the size only follows from it.

    Args:
        maps: (B, C, h, w).
        size: (height, width) of the result.
        align_corners: as in `F.interpolate`.
        factors: of height and width.
    """
    for axis, length in zip((2, 3), size, strict=True):
        places = maps.shape[axis]
        new, old = (length, places) if factors is None else factors[axis - 2].as_integer_ratio()
        pixels = torch.arange(length, device=maps.device)
        if align_corners:
            steps, parts = pixels * (places - 1), cast(int, torch.sym_max(length - 1, 1))
        else:
            steps, parts = ((2 * pixels + 1) * old - new).clamp(min=0), 2 * new
        before = steps // parts
        part = (steps - before * parts).to(maps.dtype) / parts
        part = part.view(-1, 1) if axis == 2 else part
        lower = maps.index_select(axis, before)
        upper = maps.index_select(axis, (before + 1).clamp(max=places - 1))
        maps = lower * (1 - part) + upper * part
    return maps


def _by_size(maps: Tensor, size: Sequence[int], align_corners: bool, *scales: float | None) -> Tensor:
    return exact_bilinear(maps, size, align_corners=align_corners)


def _by_size_or_factors(
    maps: Tensor, size: Sequence[int] | None, align_corners: bool, factors: Sequence[float] | None
) -> Any:
    """Not every way: what comes back as NotImplemented stays as it is."""
    if size is not None:
        return exact_bilinear(maps, size, align_corners=align_corners)
    assert factors is not None
    fractions = [Fraction(factor) for factor in factors]
    if any(fraction.denominator > _LARGEST_DENOMINATOR for fraction in fractions):
        return NotImplemented  # 1.1, which no float is: left to the exporter
    size = [
        side * fraction.numerator // fraction.denominator
        for side, fraction in zip(maps.shape[2:], fractions, strict=True)
    ]
    return exact_bilinear(maps, size, align_corners=align_corners, factors=fractions)


def log_sigmoid(values: Tensor) -> Tensor:
    """What `F.logsigmoid(values)` computes: the smaller of x and 0, less log(1 + exp(-|x|)).

    Args:
        values: of any shape.
    """
    return values.clamp(max=0) - torch.log1p(torch.exp(-values.abs()))


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.upsample_bilinear2d.vec: _by_size_or_factors,
    torch.ops.aten.upsample_bilinear2d.default: _by_size,
    torch.ops.aten.log_sigmoid.default: log_sigmoid,
}
"""For `torch.export.ExportedProgram.run_decompositions`."""
