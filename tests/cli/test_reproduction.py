"""`swtformer reproduce` from the command line: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swtformer.cli import main
from swtformer.datasets import open_dataset

SMALL = [
    "--model.backbone=swin_nano",
    "--model.weights=none",
    "--epochs=1",
    "--train.crop_px=32",
    "--train.workers=0",
    "--localize.scales=1",
    "--data.split=train",
]


def test_a_part_of_a_table_is_printed_and_written_beside_the_whole(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    rows = ["--only", "swtformer_v1", "--only", "swtformer_v2"]
    assert main(["reproduce", "table3", str(shapes), "--out", str(out), "--score=val", *rows, *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "Table 3: losses of V2" in printed
    assert "No difference is given, as ours are of " in printed
    file = out / "table3-swtformer_v1-swtformer_v2.md"
    assert f"The whole table is {file}" in printed
    text = file.read_text(encoding="utf-8")
    assert "trained on shapes/train; shapes/val, " in text
    assert "train.epochs 1 in place of 30" in text
    with file.with_suffix(".csv").open(newline="", encoding="utf-8") as stream:
        cells = list(csv.DictReader(stream))
    assert [row["method"] for row in cells] == ["SWTformer-V1", "SWTformer-V2"]
    assert [row["paper, on PASCAL VOC 2012 train"] for row in cells] == ["49.84", "55.16"]
    assert [row["difference"] for row in cells] == ["–", "–"]
    assert 0 < float(cells[0]["ours, on shapes/val"]) <= float(cells[0]["ours, oracle*, on shapes/val"]) < 100


def test_a_table_without_some_images_says_so(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "shapes"
    shutil.copytree(shapes, copy)
    record = open_dataset(copy, split="val").records[0]
    record.image.write_bytes(b"")
    command = ["reproduce", "table3", str(copy), "--out", str(tmp_path / "runs"), "--score=val"]
    arguments = [*command, "--only=swtformer_v1", "--evaluate.missing=background", *SMALL]
    assert main(arguments) == 3
    assert "1 image was skipped; " in capsys.readouterr().err


def test_a_figure_is_drawn_of_named_images(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = next(record for record in open_dataset(shapes, split="train").records if record.present)
    command = ["reproduce", "figure4", str(shapes), "--out", str(tmp_path), "--pictures", record.id]
    assert main([*command, *SMALL]) == 0
    assert f"The figure is {tmp_path / 'figure4.png'}." in capsys.readouterr().out
    assert np.asarray(Image.open(tmp_path / "figure4.png")).std() > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figure4", "--only", "swtformer_v2"], "figure4 takes no --only"),
        (["figure4", "--seeds", "0", "--seeds", "1"], "figure4 takes no --seeds"),
        (["table3", "--pictures", "00001"], "table3 takes no --pictures"),
        (["table3", "--only", "swtformer_v4"], "table3 has no row 'swtformer_v4'"),
        (["table3", "--evaluate.maps=refined"], "--evaluate.maps has no meaning here"),
        (["table3", "--train.epochs=0"], "train.epochs"),
    ],
)
def test_what_a_table_or_figure_does_not_take_ends_in_2(
    arguments: list[str],
    message: str,
    shapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    what, *rest = arguments
    command = ["reproduce", what, str(shapes), "--out", str(tmp_path / "runs"), "--data.split=train", *rest]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_options_of_a_method_are_checked_with_the_rows(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option of MCTformer is none of the default method."""
    row = ["--only=mctformer_v1", "--method.affinity=off", *SMALL, "--model.backbone=vit_nano"]
    command = ["reproduce", "table2", str(shapes), "--out", str(tmp_path), "--score=val"]
    assert main([*command, *[flag for flag in row if flag != "--model.backbone=swin_nano"]]) == 0
    capsys.readouterr()
    assert main([*command, "--only=sipe", "--method.affinity=off", *SMALL, "--model.output_stride=32"]) == 2
    assert "affinity" in capsys.readouterr().err
