from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from support.counts_exporter import counts_registered
from support.label_images import without_fingerprints
from support.mask_runs import SIZES, draw_mask_run
from swtformer.cli import main
from swtformer.datasets.mask_images import read_mask
from swtformer.store.failures import read_failures
from swtformer.store.masks import write_mask
from swtformer.store.notes import training_notes
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return draw_mask_run(tmp_path)


def test_masks_go_out_and_come_back(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "masks.zip"
    assert main(["export", str(run.path), "--format=cvat", f"--out={out}", "--export.objects=component"]) == 0
    said = capsys.readouterr()
    assert f"4 masks of {run.pseudo_masks} written as cvat: {out}" in said.out
    assert f"Next, once corrected: swtformer import {run.path} FILE" in said.out
    assert 'the label "ignored"' in said.err
    assert main(["import", str(run.path), str(out)]) == 0
    said = capsys.readouterr()
    assert f"0 masks were corrected, 4 are unchanged, 0 keep their masks: {run.corrected_masks}" in said.out
    assert f"swtformer segment {run.path} --segment.masks {run.corrected_masks}\n" in said.out
    assert f"swtformer predict {run.path} PHOTOS --out FOLDER\n" in said.out
    assert len(training_notes(run).commands) == 2


def test_a_network_that_is_there_stays(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.json"
    assert main(["export", str(run.path), "--format=coco", f"--out={out}"]) == 0
    run.segmentation.mkdir()
    assert main(["import", str(run.path), str(out)]) == 0
    said = capsys.readouterr().out
    assert f"--segment.masks {run.corrected_masks} --out {run.path}/segmentation-corrected\n" in said
    assert f"swtformer predict {run.path} PHOTOS" in said


def test_left_out_masks_are_reported_and_give_3(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "coco.json"
    (tmp_path / "photos/images/a.png").write_bytes(b"")
    assert main(["export", str(run.path), "--format=coco", f"--out={out}"]) == 3
    assert f"1 mask was left out; {run.failures_file} says which and why." in capsys.readouterr().err
    assert [(row.id, row.stage) for row in read_failures(run)] == [("a", "export")]
    content = json.loads(out.read_text(encoding="utf-8"))
    content["images"].append({"id": 99, "file_name": "new.jpg", "width": 1, "height": 1})
    out.write_text(json.dumps(content))
    assert main(["import", str(run.path), str(out), "--format=coco"]) == 3
    assert sorted((row.id, row.stage) for row in read_failures(run)) == [("a", "export"), ("new", "import")]


def test_regions_that_are_not_masks_are_counted_and_give_3(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "coco.json"
    assert main(["export", str(run.path), "--format=coco", f"--out={out}"]) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    content["annotations"] += [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}] * 2
    out.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["import", str(run.path), str(out), "--strict"]) == 2
    assert "2 problems to fix first" in capsys.readouterr().err
    assert not run.corrected_masks.exists()
    assert main(["import", str(run.path), str(out)]) == 3
    said = capsys.readouterr()
    assert f"2 regions were passed over; {run.failures_file} says which and why." in said.err
    assert "4 are unchanged" in said.out
    assert [(row.id, row.stage) for row in read_failures(run)] == [("a", "import")] * 2


def test_polygons_of_coco_on_request(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "coco.json"
    arguments = ["export", str(run.path), "--format=coco", f"--out={out}"]
    assert main([*arguments, "--exporter.segmentation=polygon"]) == 0
    assert all(isinstance(item["segmentation"], list) for item in json.loads(out.read_text())["annotations"])
    assert main([*arguments, "--exporter.segmentation=polygons"]) == 2


@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_a_folder_with_photographs_is_never_to_be_deleted(
    format: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = tmp_path / "photos"
    assert main(["export", str(run.path), f"--format={format}", f"--out={photographs}"]) == 2
    said = capsys.readouterr().err
    assert "name a new folder" in said
    assert "delete" not in said


def test_an_export_only_format_says_so(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "counts.csv"
    with counts_registered():
        assert main(["export", str(run.path), "--format=toy_counts", f"--out={out}"]) == 0
        assert main(["import", str(run.path), str(out), "--format=toy_counts"]) == 2
    assert "The format 'toy_counts' is export-only." in capsys.readouterr().err


def test_options_of_a_format(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    arguments = ["export", str(run.path), "--format=label-studio", f"--out={out}"]
    assert main([*arguments, "--exporter.image_prefix=https://host/"]) == 0
    assert json.loads(out.read_text())[0]["data"]["image"] == "https://host/a.png"


def test_any_folder_of_masks(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = tmp_path / "elsewhere" / "masks"
    shutil.copytree(run.pseudo_masks, masks)
    arguments = ["export", str(masks), "--format=voc", f"--out={tmp_path / 'voc'}"]
    assert main(arguments) == 2
    assert "masks: its class names are not known; name the data set by --data." in capsys.readouterr().err
    assert main([*arguments, "--source=masks"]) == 2
    assert "--source chooses among a run's masks" in capsys.readouterr().err
    (tmp_path / "photos/images/a.png").write_bytes(b"")
    assert main([*arguments, f"--data={tmp_path / 'photos' / 'labels.csv'}"]) == 3
    assert "1 mask was left out:\n  a: " in capsys.readouterr().err
    assert len(list((tmp_path / "voc").rglob("*.png"))) == len(SIZES) - 1


def test_bad_input_gives_2(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["import", str(tmp_path), "x.json"], "is not a run folder"),
        (["import", str(run.path), str(tmp_path / "x.json")], "x.json: does not exist"),
        (["export", str(run.path), "--format=coco"], "--out is missing: file or folder"),
        (["export", str(run.path), "--format=coc", "--out=x"], "coc"),
        (["export", str(run.path), "--format=coco", "--out=x.json", "--source=predictions"], "predictions"),
        (
            ["export", str(run.path), "--format=coco", "--out=x.json", "--source=corrected_masks"],
            "has no folder corrected_masks; `swtformer import`",
        ),
        (
            ["export", str(run.path), "--format=coco", "--out=x.json", "--source=masks", "--decision=skip"],
            "has no folder masks; make these masks with",
        ),
        (
            ["export", str(tmp_path / "rum"), "--format=coco", "--out=x.json"],
            "rum: is not a folder of masks.",
        ),
        (
            ["export", str(run.path), "--format=coco", "--out=x.json", "--data=gone", "--exporter.size=3"],
            "exporter.size",
        ),
        (
            ["export", str(run.path), "--format=coco", "--out=x.json", "--export.objects=all"],
            "export.objects",
        ),
    ):
        assert main(arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_hostile_names_write_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evil.json"
    content = {
        "images": [{"id": 1, "file_name": "../../a.jpg", "width": 12, "height": 8}],
        "annotations": [],
        "categories": [],
    }
    file.write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    assert main(["import", str(run.path), str(file)]) == 2
    assert "leaves the images' folder by '..'" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_import_says_what_it_adds_to(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = run.pseudo_mask_file("a")
    original = mask.read_bytes()
    write_mask(mask, np.zeros_like(read_mask(mask)))
    assert main(["export", str(run.path), "--format=cvat", f"--out={tmp_path / 'x.zip'}"]) == 0
    without_fingerprints("cvat", tmp_path / "x.zip")
    mask.write_bytes(original)
    arguments = ["import", str(run.path), str(tmp_path / "x.zip")]
    assert main(arguments) == 0
    assert "Added to" not in capsys.readouterr().out
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"0 masks were corrected, 4 are unchanged, 0 keep their masks: {run.path}/")
    assert "Added to the 1 masks that were corrected before; --base pseudo_masks starts over.\n" in said
    assert main([*arguments, "--base=pseudo_masks"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 masks were corrected, 3 are unchanged")
    assert "Added to" not in said
