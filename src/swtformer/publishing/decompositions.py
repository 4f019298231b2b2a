"""Steps of a network as arithmetic that onnxruntime computes without losing digits.

Bilinear resizing: torch and onnxruntime both compute in float32 which place of a map each pixel is taken
from. Beyond some hundred pixels that is off by about 1e-5 of a place, each in its own way; between steep
values the results then differ by more than 1e-4. Here positions are whole numbers of half pixels until the
last division.

Logarithm of the sigmoid: torch's exporter writes one after the other. onnxruntime's sigmoid is off by some
1e-8, and 0 from -18 down, so its logarithm is off by 1e-2 at -12 and minus infinity from -18 down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor


def exact_bilinear(maps: Tensor, size: Sequence[int], *, align_corners: bool = False) -> Tensor:
    """What `F.interpolate(maps, size, mode="bilinear")` computes, but for rounding.

    Output pixel i of N lies at ((2i + 1) n - N) / 2N places of a side of n, and at 0 where that is negative;
    with aligned corners at i (n - 1) / (N - 1).

    Args:
        maps: (B, C, h, w).
        size: (height, width) of the result.
        align_corners: as in `F.interpolate`.
    """
    for axis, length in zip((2, 3), size, strict=True):
        places = maps.shape[axis]
        pixels = torch.arange(length, device=maps.device)
        if align_corners:
            steps, parts = pixels * (places - 1), cast(int, torch.sym_max(length - 1, 1))
        else:
            steps, parts = ((2 * pixels + 1) * places - length).clamp(min=0), 2 * length
        before = steps // parts
        part = (steps - before * parts).to(maps.dtype) / parts
        part = part.view(-1, 1) if axis == 2 else part
        lower = maps.index_select(axis, before)
        upper = maps.index_select(axis, (before + 1).clamp(max=places - 1))
        maps = lower * (1 - part) + upper * part
    return maps


def log_sigmoid(values: Tensor) -> Tensor:
    """What `F.logsigmoid(values)` computes: the smaller of x and 0, less log(1 + exp(-|x|)).

    Args:
        values: of any shape.
    """
    return values.clamp(max=0) - torch.log1p(torch.exp(-values.abs()))


def _by_size(maps: Tensor, size: Sequence[int], align_corners: bool, *scales: float | None) -> Tensor:
    return exact_bilinear(maps, size, align_corners=align_corners)


def _by_size_or_factors(
    maps: Tensor, size: Sequence[int] | None, align_corners: bool, factors: Sequence[float] | None
) -> Any:
    if size is None:
        assert factors is not None
        if any(factor != int(factor) for factor in factors):
            return NotImplemented  # left to the exporter; no network here has such factors
        size = [side * int(factor) for side, factor in zip(maps.shape[2:], factors, strict=True)]
    return exact_bilinear(maps, size, align_corners=align_corners)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.upsample_bilinear2d.vec: _by_size_or_factors,
    torch.ops.aten.upsample_bilinear2d.default: _by_size,
    torch.ops.aten.log_sigmoid.default: log_sigmoid,
}
"""For `torch.export.ExportedProgram.run_decompositions`."""
