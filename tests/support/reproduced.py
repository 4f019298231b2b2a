"""A reproduced table whose counts are known."""

from __future__ import annotations

import torch

from swtformer.functional.scores import label_areas
from swtformer.reproduction.measured import Measured, MeasuredRow, Reproduction
from swtformer.reproduction.rows import rows_of

GOOD = torch.tensor([[[90, 10, 0], [0, 100, 0]]]).repeat(2, 4, 1, 1)
BAD = torch.tensor([[[50, 50, 0], [50, 50, 0]]]).repeat(2, 4, 1, 1)


def made(*, unlike: tuple[str, ...] = ()) -> Reproduction:
    """Two rows of two seeds and four images."""
    rows = []
    for row, areas in zip(
        rows_of("table3", ("swtformer_v1", "swtformer_v2")),
        (label_areas(BAD), label_areas(GOOD)),
        strict=True,
    ):
        published = row.published("table3")
        assert published is not None
        name = f"{row.about.title}, maps"
        measured = Measured(name, published, (0.5, 0.6), (0.56, 0.58), areas, unlike)
        rows.append(MeasuredRow(row, row.settings({}, seed=0), measured, None))
    companions = {"cat": ("dog", 0.25)}
    return Reproduction(
        "table3", tuple(rows), (0, 1), ("background", "cat"), (0, 1), "drawn", "drawn, 4 images", companions
    )
