"""What travels of a work, and a team of one."""

from __future__ import annotations

import pickle
from pathlib import Path

from support.works import Squaring
from swtformer.sharing import Alone


def test_what_a_work_loaded_does_not_travel(tmp_path: Path) -> None:
    work = Squaring(tmp_path)
    assert work.process > 0
    copy = pickle.loads(pickle.dumps(work))
    assert copy == work
    assert "process" in vars(work)
    assert "process" not in vars(copy)


def test_one_process_does_everything_and_tells_after_each(tmp_path: Path) -> None:
    told: list[int] = []
    results = []
    for square, _ in Alone().divided(Squaring(tmp_path), [3, 1, 2], told.append):
        results.append((square, len(told)))
    assert results == [(9, 0), (1, 1), (4, 2)]
    assert told == [1, 2, 3]
    assert Alone().agreed(lambda: "yes") == "yes"
