"""Options of the reader of tables: section `reader` of the settings."""

from __future__ import annotations

from typing import Literal

from swtformer.datasets.background import NOTHING_WORDS
from swtformer.settings import Section


class TableSettings(Section):
    """How a table is read, where it cannot be told or is told wrongly."""

    image_column: str | None = None
    """Column of the image names; by default the one with a usual name (image, file_name, Id …)."""
    label_columns: tuple[str, ...] | None = None
    """Column of the labels, or the columns of the classes (0 and 1, scores, counts); by default those with a
    usual name (labels, tags, Finding Labels …), else all columns of 0 and 1."""
    separator: str | None = None
    """What separates labels in one cell: a mark, `blank`, or `never`; by default told from the cells."""
    nothing: tuple[str, ...] = NOTHING_WORDS
    """Labels and columns that mean that an image shows no class, besides background and none."""
    threshold: float | None = None
    """Score or number from which a class is in the image; by default 0.5 for scores and 1 for counts."""
    minus_one: Literal["absent", "present"] | None = None
    """What -1 means in a table that holds 0 and 1 as well (uncertain findings, say)."""
    blank: Literal["absent"] | None = None
    """What empty cells mean in a table whose columns hold 0 and 1."""
    rows: Literal["auto", "image", "object"] = "auto"
    """Whether a row is an image or one object of it; the rows of an image are then merged."""
