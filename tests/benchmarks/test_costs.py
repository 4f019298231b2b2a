"""Points of the curves, the page and the plots of costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


def test_sets_are_measured_by_commands(script: Script) -> None:
    points = list(script("costs").of_sets([3], [1], divided=2))
    works = [(point.work, point.at) for point in points]
    assert works == [("check", 3), ("localize", 3), ("localize, 2 images", 1)]
    assert all(point.seconds > 0.1 and 0.05 < point.peak < 20 for point in points)


def test_every_point_is_a_row_and_every_curve_a_plot(script: Script, tmp_path: Path) -> None:
    costs = script("costs")
    points = [
        costs.Point(costs.SIZE, "localize", 250, 0.5, 1.0),
        costs.Point(costs.SIZE, "localize", 2000, 13.25, 2.0),
        costs.Point(costs.SET, "check", 100_000, 13.5, 1.05),
    ]
    page = costs.page(points, "python benchmarks/costs.py")
    assert "| long side of the image, px | 2,000 | localize | 13.2 | 2.00 |" in page
    assert "| images in the set | 100,000 | check | 13.5 | 1.05 |" in page
    pytest.importorskip("matplotlib")
    costs.draw(points, tmp_path / "costs.svg")
    assert "<svg" in (tmp_path / "costs.svg").read_text()
