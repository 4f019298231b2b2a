"""IRN (jiwoon-ahn/irn): the random walk along boundaries, and pydensecrf2 through its dense CRF."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rival_checks._borrowed import stay_on_the_cpu
from torch import Tensor

from peer_rows import Row, Setup, equal_labels, largest_difference
from peer_rows._drawn import draw_photograph, smooth

FOLDER = "irn"
GRID = (47, 63)
"""Half of the grid on which IRN walks at stride 4; on the whole one its matrices take five minutes."""


def _walked(grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Three maps and a boundary map."""
    torch.manual_seed(0)
    noise = torch.rand(1, 1, grid[0] // 6 + 2, grid[1] // 6 + 2)
    edge = F.interpolate(noise, grid, mode="bicubic").clamp(0, 1)[0, 0] ** 2
    return smooth(3, grid), edge


def their_walk(grid: tuple[int, int]) -> Callable[[], Tensor]:
    stay_on_the_cpu()
    from misc import indexing  # type: ignore[import-not-found]

    maps, edge = _walked(grid)

    def work() -> Tensor:
        with torch.no_grad():
            made: Tensor = indexing.propagate_to_edge(
                maps[:, None], edge[None], radius=5, beta=10, exp_times=8
            )
        return made[:, 0]

    return work


def our_walk(grid: tuple[int, int]) -> Callable[[], Tensor]:
    from swtformer.functional.affinity import boundary_affinity
    from swtformer.functional.random_walk import random_walk

    maps, edge = _walked(grid)

    def work() -> Tensor:
        with torch.no_grad():
            affinity = boundary_affinity(edge[None], radius=5)[0]
            return random_walk(maps * (1 - edge), affinity, radius=5, beta=10.0, steps=256)

    return work


def _photograph() -> np.ndarray:
    path = Path(tempfile.mkdtemp()) / "one.jpg"
    draw_photograph(path, (375, 500))
    return np.array(Image.open(path))


def their_crf() -> Callable[[], Tensor]:
    from misc import imutils  # type: ignore[import-not-found]

    image, labels = _photograph(), smooth(3, (375, 500)).argmax(0).numpy()

    def work() -> Tensor:
        return torch.from_numpy(
            np.array(imutils.crf_inference_label(image, labels, t=10, n_labels=3, gt_prob=0.7))
        )

    return work


def our_crf() -> Callable[[], Tensor]:
    from swtformer.functional.dense_crf import PairwiseTerms, label_energies, mean_field

    pixels = torch.from_numpy(_photograph()).permute(2, 0, 1).float() / 255
    labels = smooth(3, (375, 500)).argmax(0)

    def work() -> Tensor:
        energies = label_energies(labels, count=3, certainty=0.7)
        return mean_field(energies, pixels, terms=PairwiseTerms(3, 3, 50, 5, 10), iterations=10).argmax(0)

    return work


KINDS: dict[str, Setup] = {
    "walk_theirs": functools.partial(their_walk, GRID),
    "walk_ours": functools.partial(our_walk, GRID),
    "crf_theirs": their_crf,
    "crf_ours": our_crf,
}
WALK = "misc/indexing.py: propagate_to_edge"
ROWS = (
    Row(
        f"random walk of 256 steps on {GRID[0]}×{GRID[1]}",
        WALK,
        "walk_theirs",
        "walk_ours",
        largest_difference,
    ),
    Row(
        "dense CRF of 3 labels, 375×500, 10 rounds (pydensecrf2)",
        "misc/imutils.py: crf_inference_label",
        "crf_theirs",
        "crf_ours",
        equal_labels,
    ),
)
