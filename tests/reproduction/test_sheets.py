"""Sheets and files of a table whose counts are known."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from swtformer.reproduction.files import write_sheets
from swtformer.reproduction.measured import Measured, MeasuredRow, Reproduction
from swtformer.reproduction.rows import rows_of
from swtformer.reproduction.sheets import sheets

GOOD = torch.tensor([[[90, 10, 0], [0, 100, 0]]]).repeat(4, 1, 1)
BAD = torch.tensor([[[50, 50, 0], [50, 50, 0]]]).repeat(4, 1, 1)


def made(*, unlike: tuple[str, ...] = ()) -> Reproduction:
    rows = []
    for row, counts in zip(rows_of("table3", ("swtformer_v1", "swtformer_v2")), (BAD, GOOD), strict=True):
        published = row.published("table3")
        assert published is not None
        measured = Measured(published, (0.5, 0.6), (0.56, 0.58), counts, unlike)
        rows.append(MeasuredRow(row, "swin_tiny", measured, None))
    companions = {"cat": ("dog", 0.25)}
    return Reproduction(
        "table3", tuple(rows), (0, 1), ("background", "cat"), (0, 1), "drawn, 4 images", companions
    )


def test_the_difference_is_to_the_oracle() -> None:
    """Mean of 56 and 58 is 57, 1.84 above V2's published 55.16; deviations are √(2·1²/1)."""
    main = sheets(made())[0]
    assert main.rows[1][3:] == ("55.16", "55.00 ± 7.07", "57.00 ± 1.41", "+1.84")
    assert main.rows[0][-1] == "+7.16"
    assert not any("No difference" in note for note in main.notes)


def test_without_comparison_there_is_no_difference_but_a_reason() -> None:
    main = sheets(made(unlike=("4 images in place of VOC's 1,464",)))[0]
    assert [row[-1] for row in main.rows] == ["–", "–"]
    assert main.notes[-1] == "No difference is given, as ours are of 4 images in place of VOC's 1,464."


def test_rows_are_compared_with_an_interval() -> None:
    """IoUs 90/100 and 100/110 against 50/150 each; equal images leave no spread."""
    differences = {sheet.name: sheet for sheet in sheets(made())}["differences"]
    assert differences.rows == (("SWTformer-V1", ""), ("SWTformer-V2", "+57.1 (+57.1 to +57.1)"))


def test_classes_and_their_companions() -> None:
    found = {sheet.name: sheet for sheet in sheets(made())}
    assert found["classes"].rows == (("SWTformer-V1", "33.3", "33.3"), ("SWTformer-V2", "90.0", "90.9"))
    assert found["co-occurrence"].rows == (("cat", "dog", "25 %", "1.00", "0.10"),)


def test_files_hold_the_same_cells(tmp_path: Path) -> None:
    found = sheets(made())
    files = write_sheets(tmp_path, "table3", found, command="swtformer reproduce", machine="a <machine>")
    names = ["table3.md", "table3.html", "table3.csv"]
    names += [f"table3-{name}.csv" for name in ("differences", "classes", "co-occurrence")]
    assert [file.name for file in files] == names
    with (tmp_path / "table3.csv").open(newline="", encoding="utf-8") as stream:
        assert [tuple(row) for row in csv.reader(stream)] == [found[0].columns, *found[0].rows]
    text = (tmp_path / "table3.md").read_text(encoding="utf-8")
    assert "| SWTformer-V2 | swin_tiny | R-CAM | 55.16 | 55.00 ± 7.07 | 57.00 ± 1.41 | +1.84 |" in text
    page = (tmp_path / "table3.html").read_text(encoding="utf-8")
    assert "<td>+57.1 (+57.1 to +57.1)</td>" in page
    assert "a &lt;machine&gt;" in page
