"""Work over a local Ray: order, a worker that is killed, errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.ray_clusters import QUIET
from support.ray_clusters import two_workers as two_workers
from support.works import KilledOnce, Refusing, Squaring
from swtformer.errors import NonFiniteError, SwtformerError
from swtformer.sharing import open_team
from swtformer.sharing.base import Team

pytestmark = QUIET


@pytest.fixture
def team(two_workers: None) -> Team:
    return open_team("local")


def test_results_come_in_order_though_a_worker_is_killed(team: Team, tmp_path: Path) -> None:
    items, told = list(range(70)), []
    (tmp_path / "made").mkdir()
    work = KilledOnce(Squaring(tmp_path / "made"), 30, tmp_path / "killed")
    results = list(team.divided(work, items, told.append))
    assert [square for square, _ in results] == [item**2 for item in items]
    owners = {owner for _, owner in results}
    assert os.getpid() not in owners
    assert int((tmp_path / "killed").read_text()) not in {owner for _, owner in results[30:33]}
    assert told == sorted(told)
    assert told[-1] == 70
    assert list(team.divided(work, [])) == []
    assert team.agreed(lambda: "yes") == "yes"


def test_a_refusal_is_raised_here(team: Team) -> None:
    results = team.divided(Refusing(3), [1, 2, 3, 4])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(NonFiniteError, match="3 is not finite"):
        next(results)


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SwtformerError, match=r"pip install 'swtformer\[ray\]'"):
        open_team("auto")


def test_a_cluster_that_is_not_there() -> None:
    pytest.importorskip("ray")
    import ray

    ray.shutdown()
    with pytest.raises(SwtformerError, match="No Ray cluster is reached at 'auto'"):
        open_team("auto")
