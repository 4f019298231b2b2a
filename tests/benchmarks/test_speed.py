"""The page from seconds that are written by hand, and real measurements of a small network."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


def test_the_page_gives_medians_and_their_ratios(script: Callable[[str], ModuleType]) -> None:
    speed = script("speed")

    def first(kind: object) -> float:
        if kind.work == "refinement":
            return 0.03
        if kind.work == "product":
            return 0.1
        if kind.work == "loss":
            return 0.2 if kind.by == "torch" else 0.1
        seconds = 8.0 if kind.precision == "fp32" else 4.0
        if kind.products == "onednn":
            seconds -= 3
        seconds += kind.by == "torch"
        return seconds + 2 * (not kind.keeps_memory) - 2 * (kind.views == "in_turn")

    page = speed.page({kind: [first(kind), first(kind) + 1, first(kind) + 5] for kind in speed.KINDS})
    assert "| swin_tiny_patch4_window7_224 | fp32 | 11.00 | 9.00 | 1.22 | 1.00 | 7.00 | 1.29 |" in page
    assert "| mobilenetv2_100 | bf16 | 7.00 | 5.00 | 1.40 | 1.80 | 3.00 | 1.67 |" in page
    assert "by MKL 9.00 s, by oneDNN 6.00 s, 1.50 times as" in page
    assert "| mobilenetv2_100 | 9.00 | 6.00 | 5.00 | 1.20 | 3.2 |" in page
    assert "1030.0 ms" in page
    assert "1200 ms with `torch" in page
    # 16 crops of 26.9 GFLOP in 5 s, and a product of 17.2 GFLOP in 1.1 s
    assert "551 % of the 16 GFLOP/s" in page
    assert "--repetitions 3" in page
    assert "{" not in page


@pytest.mark.parametrize("work", ["maps", "training", "refinement", "loss", "product"])
def test_a_measurement_is_a_number_of_seconds(script: Callable[[str], ModuleType], work: str) -> None:
    speed = script("speed")
    assert 0 < speed.measure(speed.Kind(work, "swin_nano", views="in_turn")) < 600
