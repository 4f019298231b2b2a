"""Tables with one row per object: the rows of an image become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from swtformer.datasets.labels import LabelRow
from swtformer.datasets.problems import Problems
from swtformer.datasets.tables.label_columns import Columns

LEAST_SHARE = 0.05
"""Share of images with several rows from which a table is one of objects, without other signs."""


def merge_objects(
    rows: Sequence[LabelRow],
    columns: Columns,
    what: Literal["auto", "image", "object"],
    *,
    notes: list[str],
    problems: Problems,
) -> list[LabelRow]:
    """One row per image, where rows are objects of images; else the rows as they are.

    Rows are objects if there are columns of boxes, outlines or scores of objects, or if every row has one
    label at most and several images, and not just a few, have rows with different ones. Otherwise rows that
    contradict each other are left to be told.

    Args:
        rows: all rows.
        columns: what the table has.
        what: what a row is, if the user said so.
        notes: what was decided is added.
        problems: receives images that are in several splits.
    """
    groups: dict[str, list[LabelRow]] = {}
    for row in rows:
        groups.setdefault(row.name.replace("\\", "/").removeprefix("./"), []).append(row)
    if what == "image" or len(groups) == len(rows):
        return list(rows)
    if what == "auto" and not columns.of_objects and not _are_objects(rows, list(groups.values())):
        return list(rows)
    notes.append(f"{len(rows)} rows are objects of {len(groups)} images, whose labels are merged")
    return [_merged(own, problems) for own in groups.values()]


def _are_objects(rows: Sequence[LabelRow], images: Sequence[Sequence[LabelRow]]) -> bool:
    differing = sum(len({frozenset(row.labels or ()) for row in own}) > 1 for own in images)
    are_single = all(len(row.labels or ()) <= 1 for row in rows)
    return are_single and differing > 1 and differing >= LEAST_SHARE * len(images)


def _merged(rows: Sequence[LabelRow], problems: Problems) -> LabelRow:
    first = rows[0]
    for what, named in (("splits", [row.split for row in rows]), ("groups", [row.group for row in rows])):
        different = list(dict.fromkeys(named))
        if len(different) > 1:
            advice = " If these are images of one name, write their folders." if what == "splits" else ""
            message = (
                f"{first.source}: {first.name!r} is in several {what}: {', '.join(map(str, different))}."
            )
            problems.fatal("table_row", message + advice)
    known = [row.labels for row in rows if row.labels is not None]
    labels = tuple(dict.fromkeys(label for own in known for label in own))
    mask = next((row.mask for row in rows if row.mask), None)
    return replace(first, labels=labels if known else None, mask=mask)
