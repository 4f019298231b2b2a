from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from swtformer.cli import main
from swtformer.store.files import read_json
from swtformer.store.run import RefinedRun, Run


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the trained and localized run that a test may spoil."""
    return Path(shutil.copytree(run, tmp_path / "a copy"))


def test_from_maps_to_scored_pseudo_masks(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Run(copy)
    count = len(made.map_ids())
    assert main(["refine", str(copy), "--refiner.iterations=2"]) == 0
    out = capsys.readouterr().out
    assert f"Maps of {count} images refined by par: {made.refined}" in out
    assert f"Next: swtformer pseudo-label '{copy}'" in out
    assert read_json(made.refined_file)["settings"]["refiner.iterations"] == 2

    assert main(["refine", str(copy), "--refiner.iterations=2"]) == 0
    assert f"Maps of 0 images refined by par, {count} were kept" in capsys.readouterr().out

    assert main(["pseudo-label", str(copy), "--pseudo_label.margin=0.3"]) == 0
    out = capsys.readouterr().out
    assert f"{count} pseudo-masks made from {made.refined}, " in out
    assert f"Images to look at first: {made.review_file}" in out
    assert made.review_file.read_text().startswith("id,confidence,")

    assert main(["evaluate", str(copy), "--predictions", str(made.pseudo_masks)]) == 0
    out = capsys.readouterr().out
    assert "given: undecided pixels (255) count as misses." in out
    assert "decided: without them, " in out

    scores = made.scores_file.read_bytes() if made.scores_file.exists() else None
    assert main(["evaluate", str(copy), "--evaluate.maps=refined"]) == 0
    rows = read_json(RefinedRun(made).scores_file)["segmentation"]
    assert {row["source"] for row in rows} == {"cam", "refined"}
    assert scores == (made.scores_file.read_bytes() if made.scores_file.exists() else None)


def test_skipped_images_end_in_3_and_missing_maps_in_a_warning(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Run(copy)
    first, second, *_ = made.map_ids()
    made.map_file(first).write_bytes(b"")
    made.map_file(second).unlink()
    assert main(["refine", str(copy)]) == 3
    err = capsys.readouterr().err
    assert "Left out, having no maps: 1." in err
    assert "1 image was skipped" in err
    assert main(["pseudo-label", str(copy)]) == 3
    err = capsys.readouterr().err
    assert "Left out, having maps that were not refined: 1." in err
    assert "1 image was skipped" in err


def test_what_is_not_there_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(copy), "--evaluate.maps=refined"]) == 2
    assert "holds no refined maps; make them with `swtformer refine`" in capsys.readouterr().err
    assert main(["refine", str(copy), "--refine.method=magic"]) == 2
    assert "refine.method" in capsys.readouterr().err
