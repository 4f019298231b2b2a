"""Processes of torchrun and srun: who does what, who sees it, and what is said when one is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import lightning.fabric.plugins.environments  # noqa: F401 (once for all forked processes)
import pytest

from support.launched import KILLED, killed_at, launch, srun_variables, torchrun_variables
from support.works import Squaring
from swtformer.errors import SwtformerError
from swtformer.processes import is_main_process
from swtformer.sharing import launched, open_team

ITEMS = list(range(7))


def _divide(folder: Path) -> None:
    """Every process writes down what it saw."""
    made = folder / "made"
    made.mkdir(exist_ok=True)
    team, told = open_team(), []
    decided = team.agreed(os.getpid)
    results = list(team.divided(Squaring(made), ITEMS, told.append))
    none = list(team.divided(Squaring(made), []))
    seen = {"decided": decided, "results": results, "none": none, "told": told, "own": os.getpid()}
    (folder / f"{'first' if is_main_process() else os.getpid()}.json").write_text(json.dumps(seen))


@pytest.mark.parametrize(
    ("variables", "count", "gathered"),
    [
        (torchrun_variables, 2, 2**13),
        (torchrun_variables, 3, 1),
        (torchrun_variables, 2, 2),
        (srun_variables, 2, 2),
    ],
)
def test_each_item_is_done_once_and_the_first_process_sees_all_in_order(
    variables: Any, count: int, gathered: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Squaring, "gathered", gathered)
    assert launch(_divide, tmp_path, count=count, variables=variables) == [0] * count
    first = json.loads((tmp_path / "first.json").read_text())
    others = [json.loads(path.read_text()) for path in tmp_path.glob("*.json") if path.stem != "first"]
    assert [square for square, _ in first["results"]] == [item**2 for item in ITEMS]
    owners = [owner for _, owner in first["results"]]
    turns = [item % count for item in ITEMS]
    assert len(set(zip(owners, turns, strict=True))) == count
    assert all(len((tmp_path / "made" / str(item)).read_text().split()) == 1 for item in ITEMS)
    assert first["none"] == []
    assert first["told"] == sorted(first["told"])
    assert first["told"][-1] <= len(ITEMS)
    for other in others:
        assert (other["results"], other["told"]) == ([], [])
        assert other["decided"] == first["own"]


def _divide_and_be_killed(folder: Path) -> None:
    launched.dist.gather_object = killed_at(1, launched.dist.gather_object)
    try:
        _divide(folder)
    except SwtformerError as error:
        (folder / "error").write_text(str(error))


def test_a_killed_process_is_noticed_by_the_others(tmp_path: Path) -> None:
    assert launch(_divide_and_be_killed, tmp_path) == [0, KILLED]
    assert "Another process of this command has ended" in (tmp_path / "error").read_text()
    assert not (tmp_path / "first.json").exists()


def test_a_process_must_know_which_one_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SwtformerError, match=r"2 processes .* did not find one another: neither RANK"):
        open_team()
