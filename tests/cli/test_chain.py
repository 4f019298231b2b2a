from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from support.chain_data import draw_photos, quick_chain
from swtformer.cli import main
from swtformer.cli.chain import Until, default_out
from swtformer.settings import dump_settings
from swtformer.stages.chain import STAGES, run_stages
from swtformer.store.files import write_text
from swtformer.store.notes import training_notes
from swtformer.store.run import Run


def test_run_skips_says_so_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = draw_photos(tmp_path), tmp_path / "my run"
    (tmp_path / "images" / "3.png").write_bytes(b"no picture")
    write_text(tmp_path / "quick.yaml", dump_settings(quick_chain(tmp_path)))
    command = ["run", str(table), "--out", str(out), "--until", "localize"]
    assert main([*command, "--config", str(tmp_path / "quick.yaml")]) == 3
    text, errors = capsys.readouterr()
    assert "stage 1 of 3, check: 9 images of 3 classes, 1 of them cannot be read" in errors
    assert "stage 3 of 3, localize: maps of 8 images made" in errors
    assert "warning: 1 image was skipped" in errors
    assert f"Next: swtformer run {table} --out '{out}'" in text
    assert main(command) == 3  # by the settings of the run
    assert "maps of 0 images made, 8 kept" in capsys.readouterr().err
    assert training_notes(Run(out)).commands[-1].startswith("swtformer run ")


def test_run_stopped_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{run_stages.__module__}.run_stages", stopped)
    assert main(["run", str(draw_photos(tmp_path)), "--out", str(tmp_path / "run")]) == 130
    assert "Stopped by SIGINT. Run the same command again to resume" in capsys.readouterr().err


def test_the_stages_to_stop_at_are_those_there_are() -> None:
    assert get_args(Until) == STAGES


def test_the_default_folder_has_the_name_of_the_data(tmp_path: Path) -> None:
    table = draw_photos(tmp_path / "photos")
    assert default_out(table) == default_out(table.parent) == Path("runs/photos")


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "gone")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["run", str(tmp_path), "--until", "predict"]) == 2
    assert "--until" in capsys.readouterr().err
