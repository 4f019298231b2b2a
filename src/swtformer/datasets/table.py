"""The reader of label tables: CSV, TSV, JSON Lines, and Hugging Face's metadata files."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets.base import Reader
from swtformer.datasets.label_tables import holds_table, read_table
from swtformer.datasets.records import ImageSet
from swtformer.settings import READERS, DataSettings


@READERS.register("table")
class TableReader(Reader):
    """A table of image names and labels."""

    expects = "a label table (.csv, .tsv, .jsonl)"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """See `holds_table`."""
        return holds_table(path)

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """See `read_table`."""
        return read_table(path, settings, split)
