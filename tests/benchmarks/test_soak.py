"""The bookkeeping of the soak: what counts as lost, and how files break."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from swtformer.datasets import open_dataset

Script = Callable[[str], ModuleType]


def test_every_image_is_made_listed_or_lost(script: Script) -> None:
    soak = script("soak")
    row = soak.Row("localize")
    soak.account(row, ["a", "b", "c", "d"], lambda id: id in "ab", {"b", "c"})
    assert (row.made, row.listed, row.lost, row.both) == (2, 2, ["d"], ["b"])
    assert "| localize | 0 | 0 | 2 | 2 | 1 | 0, 0, 0 | 0 |" in soak.page([row], 4, "python soak.py")


def test_drawn_images_are_a_data_set_and_break_in_four_ways(script: Script, tmp_path: Path) -> None:
    soak = script("soak")
    ids = soak.draw(tmp_path, 12, np.random.default_rng(0))
    assert len(open_dataset(tmp_path)) == 12
    rng = random.Random(0)
    for id in ids:
        soak.break_file(tmp_path / f"{id}.jpg", rng)
    paths = [tmp_path / f"{id}.jpg" for id in ids]
    assert {path.is_fifo() for path in paths} == {False, True}
    assert {path.exists() for path in paths} == {False, True}
    assert any(path.is_file() and path.read_bytes().startswith(b"<html>") for path in paths)
    assert any(path.is_file() and path.read_bytes().startswith(b"\xff\xd8") for path in paths)
