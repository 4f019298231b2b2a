"""The whole way on a handful of drawn images: the demo's stages in one run folder."""

from __future__ import annotations

from pathlib import Path

from swtformer.stages.demo import demo
from swtformer.store.files import read_json


def test_demo_leaves_a_whole_run_and_can_be_called_again(tmp_path: Path) -> None:
    told: list[str] = []

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        if not told or told[-1] != stage:
            told.append(stage)

    run = demo(tmp_path / "run", images=10, epochs=1, progress=progress)
    for name in ("draw", "train", "localize", "mask", "evaluate"):
        assert name in told
    scores = read_json(run.scores_file)
    assert scores["images"] == 2
    assert {row["source"] for row in scores["segmentation"]} == {"cam", "rcam"}
    assert len(list(run.masks.glob("*.png"))) == 2
    page = run.report_file.read_text(encoding="utf-8")
    weights = (run.model / "model.safetensors").read_bytes()
    again = demo(tmp_path / "run", images=10, epochs=1)
    assert (again.model / "model.safetensors").read_bytes() == weights
    assert page.startswith("<!")
