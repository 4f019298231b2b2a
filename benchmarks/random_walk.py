"""Times the random walk against the dense matrix of PSA and IRN and against plain sparse steps.

    python benchmarks/random_walk.py

writes random-walk.md beside this file in about a minute. Every row runs in a process of its own, on one
thread; memory is what its peak rises above the state before, maps and affinities included.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from swtformer.functional.affinity import boundary_affinity, half_disc
from swtformer.functional.random_walk import random_walk

CLASSES = 3
RADIUS = 5
BETA = 10.0
SQUARINGS = 8
GRIDS = ((47, 63), (94, 125), (250, 250))
LARGEST_DENSE = 47 * 63
REPEATS = 3
RESULT = Path(__file__).with_name("random-walk.md")


def ours(maps: Tensor, affinity: Tensor) -> Tensor:
    return random_walk(maps, affinity, radius=RADIUS, beta=BETA, steps=2**SQUARINGS)


def indexed_pairs(affinity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both pixels (flat) and the weight of every pair, each pair once."""
    height, width = affinity.shape[1:]
    pixels = torch.arange(height * width).view(height, width)
    first, second, weights = [], [], []
    for pair, (dy, dx) in enumerate(half_disc(RADIUS)):
        rows, columns = slice(height - dy), slice(max(-dx, 0), width - max(dx, 0))
        first.append(pixels[rows, columns].flatten())
        second.append(first[-1] + dy * width + dx)
        weights.append(affinity[pair, rows, columns].flatten() ** BETA)
    return torch.cat(first), torch.cat(second), torch.cat(weights)


def dense(maps: Tensor, affinity: Tensor) -> Tensor:
    """As published: an (hw)² matrix, squared t times."""
    first, second, weights = indexed_pairs(affinity)
    matrix = torch.eye(maps[0].numel())
    matrix[first, second] = matrix[second, first] = weights
    matrix /= matrix.sum(0)
    for _ in range(SQUARINGS):
        matrix = matrix @ matrix
    return (maps.flatten(1) @ matrix).view_as(maps)


def steps(maps: Tensor, affinity: Tensor) -> Tensor:
    """2^t steps with a sparse matrix (CSR, fp32)."""
    first, second, weights = indexed_pairs(affinity)
    count = maps[0].numel()
    own = torch.arange(count)
    places = torch.stack([torch.cat([first, second, own]), torch.cat([second, first, own])])
    matrix = torch.sparse_coo_tensor(
        places, torch.cat([weights, weights, torch.ones(count)]), (count, count)
    ).to_sparse_csr()
    state = maps.flatten(1).T.contiguous()
    sums = matrix @ torch.ones(count, 1)
    for _ in range(2**SQUARINGS):
        state = (matrix @ state) / sums
    return state.T.reshape(maps.shape)


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ours": ours, "dense": dense, "steps": steps}


def measure(way: str, height: int, width: int) -> dict[str, float]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    boundaries = torch.rand(1, height, width, generator=generator) ** 3
    maps = torch.rand(CLASSES, height, width, generator=generator)
    WAYS["ours"](maps[:, :8, :8], boundary_affinity(boundaries[:, :8, :8], radius=RADIUS)[0])  # warm-up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    affinity = boundary_affinity(boundaries, radius=RADIUS)[0]
    seconds = []
    for _ in range(1 if way == "dense" else REPEATS):
        started = time.perf_counter()
        walked = WAYS[way](maps, affinity)
        seconds.append(time.perf_counter() - started)
    rise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    exact = np.abs((walked - ours(maps, affinity)).numpy()).max()
    return {"seconds": min(seconds), "gigabytes": rise / 1e6, "difference": float(exact)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    row = parser.parse_args().row
    if row:
        print(json.dumps(measure(row[0], int(row[1]), int(row[2]))))
        return
    lines = []
    for height, width in GRIDS:
        measured: dict[str, dict[str, float]] = {}
        for way in WAYS:
            if way == "dense" and height * width > LARGEST_DENSE:
                continue
            command = [sys.executable, "-W", "ignore", __file__, "--row", way, str(height), str(width)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            measured[way] = json.loads(done.stdout)
        for way, result in measured.items():
            ratio = result["seconds"] / measured["ours"]["seconds"]
            lines.append(
                f"| {height}×{width} | {way} | {result['seconds']:.3f} | {ratio:.1f} | "
                f"{result['gigabytes']:.2f} | {result['difference']:.0e} |"
            )
    RESULT.write_text(
        f"""# Random walk of maps over pixel affinities

`python benchmarks/random_walk.py`, {datetime.date.today()}, one thread of {platform.machine()}
({platform.system()}), torch {torch.__version__}; best of {REPEATS} (dense: one), {CLASSES} maps,
radius {RADIUS}, beta {BETA:g}, 2^{SQUARINGS} steps, random boundaries (seed 0). Building the matrix or the
stencil is part of the time. "GB" is what the process's peak rises by.

- `ours`: `functional.random_walk` (stencil, Chebyshev expansion, float64).
- `dense`: the (hw)² matrix of the published code, squared {SQUARINGS} times, in float32.
- `steps`: {2**SQUARINGS} products with a sparse CSR matrix in float32.

| grid | way | s | times ours | GB | largest difference from ours |
|---|---|---|---|---|---|
"""
        + "\n".join(lines)
        + "\n\nA dense matrix at 94×125 takes 0.55 GB and at 250×250 15.6 GB, three of them at a time.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
