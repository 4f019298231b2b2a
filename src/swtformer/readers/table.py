"""The reader of label tables: CSV, TSV, JSON Lines, lists, Excel, Parquet, Hugging Face's and Roboflow's."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets.base import Reader
from swtformer.datasets.records import ImageSet
from swtformer.datasets.tables.label_tables import read_table
from swtformer.datasets.tables.table_files import holds_table
from swtformer.datasets.tables.table_settings import TableSettings
from swtformer.settings import READERS, DataSettings


@READERS.register("table")
class TableReader(Reader):
    """A table of image names and labels."""

    settings_type = TableSettings
    expects = (
        "a label table (.csv, .tsv, .jsonl, .xlsx, .parquet, or .txt with an image and its labels per line)"
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """See `holds_table`."""
        return holds_table(path)

    def read(self, path: Path, settings: DataSettings, split: str | None) -> ImageSet:
        """See `read_table`."""
        return read_table(path, settings, split, self.options)
