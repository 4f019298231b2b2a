"""Checks of our methods against their authors' own code: the same weights and input, the same results.

One module a repository, named like its folder in lower case. A module has

- `FOLDER`: the name of the repository's folder below the one given by `--peers`;
- `checks(folder)`: the comparisons, each a `Check`.

Each module runs in a process of its own with the repository at the front of `sys.path`, as repositories share
names of modules (`network`, `tool`). They are read where they lie and nothing of them is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        what: what is compared, in the words of the field: "CAM logits", "ER loss".
        theirs: file and function of the peer.
        difference: largest absolute difference, relative to the largest value of theirs.
    """

    what: str
    theirs: str
    difference: float


def compared(what: str, theirs: str, *, ours: Tensor, other: Tensor) -> Check:
    """Compare two tensors.

    Args:
        what, theirs: see `Check`.
        ours: of this package.
        other: of the peer, the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    if ours.shape != other.shape:
        raise ValueError(f"{what}: ours is {tuple(ours.shape)}, theirs {tuple(other.shape)}.")
    scale = float(other.abs().max()) or 1.0
    with torch.no_grad():
        return Check(what, theirs, float((ours.double() - other.double()).abs().max()) / scale)
