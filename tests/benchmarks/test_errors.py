"""What becomes of objects, by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

Script = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Two objects of class 1, 4×5 and 5×4 pixels, in an image of 20×20; a row of undecided pixels."""
    truth = np.zeros((20, 20), np.uint8)
    truth[1:5, 1:6], truth[12:17, 12:16], truth[19] = 1, 1, 255
    labels = np.zeros_like(truth)
    labels[1:3, 1:6] = 1  # half of the first
    labels[3, 1:6] = 2
    labels[12:17, 12:18] = 1  # the second, and two columns beside it
    labels[19] = 1
    labels[8, 0:10] = 3  # a class that is not there
    return truth, labels


def test_each_object_has_its_fate(script: Script, pair: tuple[np.ndarray, np.ndarray]) -> None:
    errors = script("errors")
    first, second = errors.fates(*pair, over=(0, 1, 2, 3))
    assert first == errors.Fate(20 / 400, 20, found=10, missed=5, confused=5, grown=0)
    assert second == errors.Fate(20 / 400, 20, found=20, missed=0, confused=0, grown=10)
    assert errors.invented(*pair, over=(0, 1, 2, 3)) == 10
    assert errors.invented(*pair, over=(0, 1, 2)) == 0
    assert list(errors.fates(*pair, over=(0, 2))) == []


def test_the_table_has_a_row_for_each_size(script: Script, pair: tuple[np.ndarray, np.ndarray]) -> None:
    errors = script("errors")
    rows = errors.table(list(errors.fates(*pair, over=(1,)))).splitlines()[2:]
    assert rows[0] == "| below 1 % | 0 | | | | | |"
    assert rows[2] == "| 5 to 20 % | 2 | 100 % | 75 | 12 | 12 | 25 |"
    assert len(rows) == 4


def test_the_sheet_has_two_images_to_a_line(script: Script, pair: tuple[np.ndarray, np.ndarray]) -> None:
    errors = script("errors")
    photograph = np.full((20, 20, 3), 90, np.uint8)
    made = np.asarray(errors.sheet([(photograph, *pair)] * 3))
    assert made.shape == (2 * errors.TILE_PX, 6 * errors.TILE_PX, 3)
    assert made[5, 5].tolist() == [90, 90, 90]
    assert made[5, 3 * errors.TILE_PX + 5].tolist() == [90, 90, 90]
    assert made[errors.TILE_PX + 5, 3 * errors.TILE_PX + 5].tolist() == [255, 255, 255]
