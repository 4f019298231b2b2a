from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def test_every_command_is_measured(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    scale = script("scale")
    run = scale.draw(tmp_path, 3)
    found = scale.measure(scale.commands(run)["localize"], processes=1)
    assert len(run.map_ids()) == 3
    assert found.cpu > 0
    assert 0.05 < found.peak < 20
    with pytest.raises(RuntimeError, match="ended with 2"):
        scale.measure(("localize", str(tmp_path)), processes=1)


def test_costs_grow_with_the_images_and_the_page_shows_them(script: Callable[[str], ModuleType]) -> None:
    scale = script("scale")
    million, billion = scale.estimates(10**6), scale.estimates(10**9)
    assert million["core hours"] == pytest.approx(1000)
    assert all(billion[name] == pytest.approx(1000 * value) for name, value in million.items())
    lines = scale.table([("localize", 2, scale.Measured(20.0, 15.0, 0.5))], images=1000)
    assert lines == ["| localize | 1,000 | 2 | 20.0 | 15.0 | 0.50 |"]
    assert lines[0] in scale.page(lines, "python benchmarks/scale.py").splitlines()
