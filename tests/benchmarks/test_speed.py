"""The page from seconds that are written by hand, and one real measurement of a small network."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType


def test_the_page_gives_medians_and_their_ratios(script: Callable[[str], ModuleType]) -> None:
    speed = script("speed")
    seconds = {
        (backbone, precision, allocator): [first, first + 1, first + 5]
        for backbone in speed.BACKBONES
        for precision, first in (("fp32", 8.0), ("bf16", 4.0))
        for allocator, first in (("default", first + 2), ("kept", first))
    }
    page = speed.page(seconds)
    assert "| swin_tiny_patch4_window7_224 | fp32 | 11.00 | 9.00 | 1.22 | 1.00 |" in page
    assert "| mobilenetv2_100 | bf16 | 7.00 | 5.00 | 1.40 | 1.80 |" in page
    assert "--repetitions 3" in page
    assert "{" not in page


def test_a_measurement_is_a_number_of_seconds(script: Callable[[str], ModuleType]) -> None:
    assert 0 < script("speed").measure("swin_nano", "fp32") < 600
