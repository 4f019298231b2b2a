"""How sure a difference between two recipes is, which were scored on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swtformer.functional.scores import iou_of_areas

DRAWS_AT_ONCE = 250


@dataclass(frozen=True)
class Difference:
    """A difference of two mIoUs and its interval.

    Attributes:
        value: mIoU of the first minus that of the second, in [-1, 1].
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


def paired_bootstrap(
    first: Tensor,
    second: Tensor,
    *,
    over: Sequence[int] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Percentile interval of a difference of mIoUs, by drawing images with replacement (Efron 1979).

    Both recipes are scored on the same drawn images each time, so what makes an image hard for both of them
    does not widen the interval. It tells the spread over images, not that over seeds of the training.

    Args:
        first, second: (I, 3, N) areas of each image, see `label_areas`; the same images in the same order.
            With several seeds (S, I, 3, N); then mIoUs are means over them.
        over: labels of the mean, all by default; see `mean_iou`.
        draws: number of sets of images.
        level: share of the draws that lie in the interval.
        seed: of the draws.

    Raises:
        ValueError: the images are not the same number, or there are none.
    """
    if first.ndim == 3:
        first, second = first[None], second[None]
    if first.shape != second.shape or not first.shape[1]:
        raise ValueError(
            f"expected the areas of the same images, got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    labels = range(first.shape[-1]) if over is None else over
    areas = torch.stack([first, second]).double()[..., list(labels)]
    generator = torch.Generator().manual_seed(seed)
    found = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, draws - start), first.shape[1]
        drawn = torch.randint(first.shape[1], size, generator=generator)
        times = torch.zeros(size, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(size).double())
        sums = torch.einsum("di,ksiab->ksdab", times, areas)
        one, other = iou_of_areas(sums).nanmean(-1).mean(1)
        found.append(one - other)
    whole = iou_of_areas(areas.sum(2)).nanmean(-1).mean(1)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.cat(found).nanquantile(ends).tolist()
    return Difference(float(whole[0] - whole[1]), low, high)
