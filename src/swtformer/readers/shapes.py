"""Reads the drawn set `shapes`: a label table, with its splits and classes in shapes.json."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from swtformer.datasets.base import Reader
from swtformer.datasets.records import ImageSet
from swtformer.datasets.rows import parse_json, read_text
from swtformer.datasets.splits import ALL, choose_split
from swtformer.datasets.tables.label_tables import read_table
from swtformer.errors import DataError
from swtformer.settings import READERS, DataSettings
from swtformer.store.files import checked

MARKER = "shapes.json"


@dataclass(frozen=True)
class _About:
    """What shapes.json says: class names in order, and the ids of each split."""

    classes: tuple[str, ...]
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)


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
            DataError: as `read_table`, or shapes.json is no JSON.
            SwtformerError: shapes.json holds something else.
        """
        about = _about(path / MARKER)
        found = {
            "masks": settings.masks or (path / "masks" if (path / "masks").is_dir() else None),
            "classes": settings.classes or about.classes,
        }
        whole = read_table(path, settings.model_copy(update=found), split=ALL)
        chosen = None if split == ALL else choose_split(path, split, about.splits, default=("train",))
        ids = set(about.splits[chosen]) if chosen else {record.id for record in whole.records}
        records = tuple(record for record in whole.records if record.id in ids)
        if not records:
            raise DataError(f"{path}: no image of labels.csv is in the split {chosen!r} of {MARKER}.")
        name = f"{whole.name}/{chosen}" if chosen else whole.name
        return replace(whole, name=name, format="shapes", records=records, split=chosen)


def _about(file: Path) -> _About:
    try:
        about = parse_json(read_text(file))
    except ValueError as error:
        raise DataError(f"{file}: is not JSON ({error}); draw the set again.") from None
    return checked(about, _About, where=str(file), remedy="Draw the set again.")
