from __future__ import annotations

from collections.abc import Callable
from types import ModuleType


def test_the_peak_is_that_of_map_making(script: Callable[[str], ModuleType]) -> None:
    found = script("memory").measure(side=64, scales=[1.0], precision="fp32")
    assert 0.05 < found["before"] <= found["peak"] < 20
    assert found["seconds"] > 0


def test_the_page_has_a_line_for_each_row(script: Callable[[str], ModuleType]) -> None:
    memory = script("memory")
    found = {"before": 1.0, "peak": 4.567, "seconds": 70.4}
    lines = memory.page((row, found) for row in memory.ROWS).splitlines()
    assert len([line for line in lines if "×" in line]) == len(memory.ROWS)
    assert "| 500×500 | 0.5, 1, 1.5, 2 | bf16 | 1.00 | 4.57 | 70 |" in lines
