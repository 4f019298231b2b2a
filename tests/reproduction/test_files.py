"""A table as Markdown, CSV and HTML."""

from __future__ import annotations

import csv
from pathlib import Path

from support.reproduced import made
from swtformer.reproduction.files import write_sheets
from swtformer.reproduction.sheets import sheets


def test_files_hold_the_same_cells(tmp_path: Path) -> None:
    found = sheets(made())
    files = write_sheets(tmp_path, "table3", found, command="swtformer reproduce", machine="a <machine>")
    names = ["table3.md", "table3.html", "table3.csv"]
    names += [f"table3-{name}.csv" for name in ("differences", "classes", "co-occurrence")]
    assert [file.name for file in files] == names
    with (tmp_path / "table3.csv").open(newline="", encoding="utf-8") as stream:
        assert [tuple(row) for row in csv.reader(stream)] == [found[0].columns, *found[0].rows]
    text = (tmp_path / "table3.md").read_text(encoding="utf-8")
    assert "| R-CAM | 55.16 | 55.00 ± 7.07 | 57.00 ± 1.41 | +1.84 |" in text
    page = (tmp_path / "table3.html").read_text(encoding="utf-8")
    assert "<td>+57.1 (+57.1 to +57.1)</td>" in page
    assert "a &lt;machine&gt;" in page
