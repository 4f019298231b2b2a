"""The plug-in around `label_tables`, whose tests say what tables may hold."""

from __future__ import annotations

from pathlib import Path

from swtformer.datasets import open_dataset, recognise
from swtformer.readers.table import TableReader
from swtformer.settings import DataSettings


def test_a_table_is_recognised_and_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    table = tmp_path / "labels.csv"
    table.write_text("image,labels\na.png,cat\n")
    assert TableReader.recognises(table)
    assert recognise(table) == "table"
    assert open_dataset(table, DataSettings(format="table")).classes == ("cat",)
