"""Reads the drawn set `shapes`: a label table, with its splits and classes in shapes.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from swtformer.datasets.base import Reader
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import parse_json, read_text
from swtformer.datasets.splits import ALL, choose_split
from swtformer.datasets.tables.label_tables import read_table
from swtformer.errors import DataError
from swtformer.settings import READERS, DataSettings

MARKER = "shapes.json"


@READERS.register("shapes")
class ShapesReader(Reader):
    """The drawn set of shapes."""

    priority = 10  # it holds a label table as well

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with shapes.json."""
        return (path / MARKER).is_file()

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """Read the drawn set; "train" is read by default, and "all" reads everything.

        Raises:
            DataError: as `read_table`, or shapes.json is damaged.
        """
        about = _about(path / MARKER)
        found = {
            "masks": settings.masks or (path / "masks" if (path / "masks").is_dir() else None),
            "classes": settings.classes or tuple(about["classes"]),
        }
        whole = read_table(path, settings.model_copy(update=found), split=ALL)
        splits = about.get("splits", {})
        chosen = None if split == ALL else choose_split(path, split, splits, default=("train",))
        ids = set(splits[chosen]) if chosen else {record.id for record in whole.records}
        records = tuple(record for record in whole.records if record.id in ids)
        if not records:
            raise DataError(f"{path}: no image of labels.csv is in the split {chosen!r} of {MARKER}.")
        name = f"{whole.name}/{chosen}" if chosen else whole.name
        return replace(whole, name=name, format="shapes", records=records, split=chosen)


def _about(file: Path) -> dict[str, Any]:
    try:
        about = parse_json(read_text(file))
    except ValueError as error:
        raise DataError(f"{file}: is not JSON ({error}); draw the set again.") from None
    if not isinstance(about, dict) or not isinstance(about.get("classes"), list):
        raise DataError(f'{file}: expected an object with a list "classes"; draw the set again.')
    return about
