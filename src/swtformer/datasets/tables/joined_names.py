"""Tables of Kaggle whose first column holds image and class in one, such as ``a.jpg_Fish``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from swtformer.datasets.paths import PROBED_NAMES
from swtformer.datasets.rows import Row, Rows
from swtformer.datasets.tables.column_names import LABEL_COLUMNS, plain

_IMAGE, _CLASS, _PRESENT = "image", "class", "present"


def with_own_columns(table: Rows, hits: Callable[[Sequence[str]], int] | None) -> Rows:
    """The table with a column of images and one of classes, if each image stands there with each class.

    Args:
        table: the table; every other is returned as it is.
        hits: how many of some names are images of the data set.
    """
    if hits is None or not table.has_header or not table.rows or not table.columns:
        return table
    joined, *others = table.columns
    names = [str(row.cells.get(joined) or "") for row in table.rows]
    parts = [name.rpartition("_") for name in names]
    images, classes = list(dict.fromkeys(part[0] for part in parts)), {part[2] for part in parts}
    is_grid = len(classes) > 1 and len(images) * len(classes) == len(set(names))
    if not is_grid or {_IMAGE, _CLASS, _PRESENT} & {*others} or "" in classes:
        return table
    probed = images[:PROBED_NAMES]
    if hits(names[:PROBED_NAMES]) or hits(probed) < len(probed):
        return table
    # The label of a pair says whether the class is there.
    renamed = {name: _PRESENT if plain(name) in LABEL_COLUMNS else name for name in others}
    if len(set(renamed.values())) < len(renamed):
        return table
    rows = []
    for row, (image, _, label) in zip(table.rows, parts, strict=True):
        rest = {renamed[name]: row.cells.get(name) for name in others}
        rows.append(Row(row.line, {_IMAGE: image, _CLASS: label, **rest}))
    note = f"{joined!r} holds images and classes: {names[0]!r} is {parts[0][2]!r} of {parts[0][0]!r}"
    columns = (_IMAGE, _CLASS, *renamed.values())
    return replace(table, columns=columns, rows=tuple(rows), notes=(*table.notes, note))
