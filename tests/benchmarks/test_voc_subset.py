"""The table from results that are written by hand, and what is said where something is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def voc_subset(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("voc_subset")


def _result(seed: int, **mious: float) -> dict[str, Any]:
    sources = {
        "fixed": "cam",
        "label_free": "cam",
        "oracle": "cam",
        "argmax": "rcam",
    }
    return {
        "name": "v2",
        "note": "CLS + GSC + CCL",
        "seed": seed,
        "scores": {
            "images": 438,
            "scales": [1.0],
            "segmentation": [
                {"source": sources[policy], "policy": policy, "miou": miou} for policy, miou in mious.items()
            ],
            "classification": {"map_per_class": 0.75 + seed / 100, "map_per_image": 0.95},
        },
        "date": f"2026-11-2{seed}",
        "machine": "AMD EPYC 9654, 1 thread, torch 2.15.0, bf16",
    }


def test_the_table_gives_means_and_spreads_over_seeds(
    voc_subset: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    for result in (_result(0, fixed=0.45, argmax=0.53, oracle=0.5), _result(1, fixed=0.47, argmax=0.53)):
        name = f"v2-seed{result['seed']}-1scales.json"
        (tmp_path / "results" / name).write_text(json.dumps(result))
    voc_subset.main(["table", "--out", str(tmp_path)])
    page = capsys.readouterr().out
    # 46 ± √2: the sample's standard deviation; no result has a label-free score, one an oracle's.
    scores = "| 46.00 ± 1.41 | – | 50.00 | 53.00 ± 0.00 | 75.5 / 95.0 |"
    row = f"| `v2` CLS + GSC + CCL, V2's defaults | 1 | 0, 1 {scores}"
    assert [line for line in page.splitlines() if line.startswith("| `")] == [row]
    assert "Made on 2026-11-21; AMD EPYC 9654, 1 thread, torch 2.15.0, bf16. Scores" in page
    assert "; 438 of them" in page
    assert "{" not in page


def test_settings_of_all_experiments_exist(voc_subset: ModuleType, tmp_path: Path) -> None:
    for experiment in voc_subset.EXPERIMENTS:
        settings = voc_subset.settings_of(experiment, 0, tmp_path / "weights.safetensors")
        options = settings.plugin_options("method").model_dump()
        named = experiment.settings.get("method", {})
        assert {name: options[name] for name in named} == named


def test_a_table_of_nothing(voc_subset: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"holds no results yet\. First: python"):
        voc_subset.main(["table", "--out", str(tmp_path)])


def test_what_starts_from_v1_needs_it(voc_subset: ModuleType, tmp_path: Path) -> None:
    """Said before the data set is opened, which is not there."""
    places = ["--data", str(tmp_path / "data"), "--weights", "none", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"no finished v1 of seed 0.* --seeds 0$"):
        voc_subset.main(["run", "v2", "gsc-only", *places])
    with pytest.raises(SystemExit, match=r"no finished v1 of seed 1, "):
        voc_subset.main(["run", "untrained", *places, "--seeds", "1"])
    with pytest.raises(SystemExit, match=r"data: does not exist"):
        voc_subset.main(["run", "v2", "v1", *places])


def test_an_unknown_experiment_is_refused(voc_subset: ModuleType, tmp_path: Path) -> None:
    places = ["--data", str(tmp_path / "data"), "--weights", "none", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"called 'ccl'; there are v1, untrained"):
        voc_subset.main(["run", "ccl", *places])
