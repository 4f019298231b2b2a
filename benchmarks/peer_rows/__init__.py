"""Work that ours and a peer's code both do. Each module is one repository; `benchmarks/peers.py` runs them.

A module has

- `FOLDER`: name of the repository's clone,
- `KINDS`: by name, a function that sets up and returns the work that is timed. It is called in a process of
  its own, with the clone first on the path,
- `ROWS`: what stands in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Setup = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        what: the work, with its sizes.
        code: the peer's file and function.
        theirs, ours: names of the two kinds.
        agreement: how far both results agree, in words, from what the two kinds return; None where they
            cannot, as their networks differ.
        gflop: products and sums of our networks' matrix products, in 10⁹, by torch's counter of operations;
            None where the work is of another kind.
        precision: in which they are computed.
    """

    what: str
    code: str
    theirs: str
    ours: str
    agreement: Callable[[Any, Any], str] | None = None
    gflop: float | None = None
    precision: Literal["fp32", "bf16"] = "fp32"


def largest_difference(theirs: Tensor, ours: Tensor) -> str:
    """Largest difference, relative to the largest value."""
    return f"{float((theirs - ours).abs().max() / theirs.abs().max()):.0e} apart"


def equal_labels(theirs: Tensor, ours: Tensor) -> str:
    """Share of equal labels."""
    return f"{100 * float((theirs == ours).float().mean()):.1f} % of labels equal"
