"""Figures of the paper on small images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.small_rows import SMALL
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError
from swtformer.reproduction.figures import RED, Picture, draw_grid
from swtformer.settings import merge
from swtformer.stages.reproduce import reproduce_figure
from swtformer.stages.reproduce.figure import varied
from swtformer.store.run import Run


def test_figure4_draws_rcams(data: ImageSet, tmp_path: Path) -> None:
    picture = reproduce_figure("figure4", data, out=tmp_path, images=("0", "2"), overrides=SMALL)
    assert picture == tmp_path / "figure4.png"
    grid = np.asarray(Image.open(picture))
    assert grid.std() > 10
    assert Run(tmp_path / "swtformer_v2" / "seed-0").map_ids() == ["0", "2"]
    with pytest.raises(DataError, match="squares has no image '99'"):
        reproduce_figure("figure4", data, out=tmp_path, images=("99",), overrides=SMALL)


def test_figure1_has_boxes_where_there_are_masks_and_names_its_networks(
    data: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headings: list[Sequence[str]] = []

    def draw(rows: Iterable[Sequence[Picture]], given: Sequence[str], path: Path) -> None:
        headings.append(given)
        draw_grid(rows, given, path)

    monkeypatch.setattr("swtformer.stages.reproduce.figure.draw_grid", draw)
    overrides = merge(SMALL, {"model": {"backbone": "swin_nano"}})
    picture = reproduce_figure("figure1", data, out=tmp_path, images=("2",), overrides=overrides)
    grid = np.asarray(Image.open(picture))
    assert (grid == RED).all(-1).any()
    assert headings == [["photograph", "CNN\nswin_nano", "ViT\nswin_nano", "SWTformer-V1\nswin_nano"]]


def test_figure4_takes_different_labels_first(data: ImageSet) -> None:
    """Images are red, green, both, none in turn."""
    assert varied([0, 1, 2, 4, 5], data) == [0, 1, 2, 4, 5]
    assert varied([0, 4, 8, 1, 5, 2], data) == [0, 1, 2, 4, 5, 8]
