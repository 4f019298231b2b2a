"""Tables of the paper on small images: what is trained, kept, scored, and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.squares import COLOURS, draw_squares
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SettingsError, SwtformerError
from swtformer.reproduction.figures import RED
from swtformer.reproduction.sheets import sheets
from swtformer.settings import merge
from swtformer.stages.reproduce import reproduce, reproduce_figure
from swtformer.stages.reproduce.figure import varied
from swtformer.stages.reproduce.row_runs import weights_in
from swtformer.store.run import Run
from swtformer.store.scores import read_scores

SMALL: dict[str, Any] = {
    "model": {"backbone": "swin_nano", "weights": "none"},
    "train": {
        "epochs": 1,
        "batch_size": 4,
        "crop_px": 32,
        "long_side_px": [40, 48],
        "workers": 0,
        "precision": "fp32",
    },
    "localize": {"scales": [1.0], "precision": "fp32", "workers": 0},
    "refine": {"workers": 0},
    "data": {"validation_fraction": 0.25},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Squares with their true masks."""
    folder = tmp_path_factory.mktemp("squares")
    drawn = draw_squares(folder)
    records = []
    for record in drawn.records:
        pixels = np.asarray(Image.open(record.image)).astype(int)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        for label, colour in enumerate(COLOURS, start=1):
            mask[(pixels == colour).all(-1)] = label
        path = folder / f"{record.id}-mask.png"
        Image.fromarray(mask).save(path)
        records.append(replace(record, mask=path))
    return replace(drawn, records=tuple(records))


def test_table3_shares_runs_and_keeps_them(data: ImageSet, tmp_path: Path) -> None:
    made = reproduce(
        "table3", data, out=tmp_path, seeds=(0, 1), only=("swtformer_v1", "swtformer_v2"), overrides=SMALL
    )
    assert [row.row.name for row in made.rows] == ["swtformer_v1", "swtformer_v2"]
    maps = Run(tmp_path / "swtformer_v1" / "seed-1").map_file("3")
    before = maps.stat().st_mtime_ns
    for row in made.rows:
        assert row.table is not None
        assert len(row.table.values) == 2
        assert row.table.counts is not None
        assert row.table.counts.shape == (2, 12, 3, 4)
        assert row.full is None
    again = reproduce("table3", data, out=tmp_path, seeds=(0, 1), only=("swtformer_v1",), overrides=SMALL)
    assert maps.stat().st_mtime_ns == before
    assert again.rows[0].table is not None
    assert made.rows[0].table is not None
    assert again.rows[0].table.values == made.rows[0].table.values


def test_figures_are_those_of_evaluate(data: ImageSet, tmp_path: Path) -> None:
    made = reproduce("table3", data, out=tmp_path, only=("swtformer_v1",), overrides=SMALL)
    scores = read_scores(Run(tmp_path / "swtformer_v1" / "seed-0").scores_file)
    assert scores is not None
    by_policy = {entry.policy: entry.miou for entry in scores.segmentation if entry.source == "cam"}
    measured = made.rows[0].table
    assert measured is not None
    assert measured.values == (by_policy["label_free"],)
    assert measured.others == (by_policy["oracle"],)
    main = sheets(made)[0]
    assert main.rows[0][3] == "49.84"
    assert main.rows[0][6] == "–"
    assert any("12 images in place of VOC's 1,464" in note for note in main.notes)
    assert any("random weights in place of" in note for note in main.notes)


def test_table1_is_of_unseen_images(data: ImageSet, tmp_path: Path) -> None:
    made = reproduce("table1", data, out=tmp_path, only=("swtformer_v1",), overrides=SMALL)
    measured = made.rows[0].table
    assert measured is not None
    assert measured.counts is None
    assert 0 <= measured.values[0] <= 1
    assert "a held-out part of the training images" in measured.unlike[0]
    assert [sheet.name for sheet in sheets(made)] == [""]


def test_what_cannot_be_made_is_refused_before_any_training(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"table3 has no row 'swtformer_v4'\. Did you mean"):
        reproduce("table3", data, out=tmp_path, only=("swtformer_v4",), overrides=SMALL)
    with pytest.raises(SettingsError, match=r"seeds: expected at least one, each once, got \[1, 1\]"):
        reproduce("table3", data, out=tmp_path, seeds=(1, 1), overrides=SMALL)
    bare = replace(data, records=tuple(replace(record, mask=None) for record in data.records))
    with pytest.raises(DataError, match=r"no masks to score against.*data\.masks"):
        reproduce("table3", bare, out=tmp_path, overrides=SMALL)
    assert not list(tmp_path.iterdir())


def test_figure4_draws_rcams(data: ImageSet, tmp_path: Path) -> None:
    picture = reproduce_figure("figure4", data, out=tmp_path, images=("0", "2"), overrides=SMALL)
    assert picture == tmp_path / "figure4.png"
    grid = np.asarray(Image.open(picture))
    assert grid.std() > 10
    assert Run(tmp_path / "swtformer_v2" / "seed-0").map_ids() == ["0", "2"]
    with pytest.raises(DataError, match="squares has no image '99'"):
        reproduce_figure("figure4", data, out=tmp_path, images=("99",), overrides=SMALL)


def test_networks_that_cannot_be_had_are_told_before_any_training(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"'mctformer_v1' takes a plain vision transformer"):
        reproduce("table2", data, out=tmp_path, only=("mctformer_v1", "swtformer_v1"), overrides=SMALL)
    with pytest.raises(SettingsError, match="nowhere is not a folder"):
        reproduce("table2", data, out=tmp_path, only=("psa",), weights=tmp_path / "nowhere", overrides={})
    assert not list(tmp_path.iterdir())


def test_weights_come_from_a_folder_by_the_backbone(tmp_path: Path) -> None:
    (tmp_path / "resnet38d.params").touch()
    assert weights_in(tmp_path, "resnet38d") == tmp_path / "resnet38d.params"
    assert weights_in(tmp_path, "resnet50") is None
    assert weights_in(None, "resnet38d") is None


def test_maps_with_other_options_have_the_same_weights(data: ImageSet, tmp_path: Path) -> None:
    """MCTformer's columns differ in patch affinity alone, so one training serves both."""
    overrides = merge(SMALL, {"model": {"backbone": "vit_nano"}, "train": {"long_side_px": None}})
    made = reproduce("table2", data, out=tmp_path, only=("mctformer_v1",), overrides=overrides)
    row = made.rows[0]
    assert row.full is not None
    assert row.table is not None
    assert row.table.values != row.full.values
    folders = sorted(path.name for path in (tmp_path / "mctformer_v1").iterdir())
    assert folders == ["seed-0", "seed-0-off"]
    files = [tmp_path / "mctformer_v1" / name / "model" / "model.safetensors" for name in folders]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_a_table_cannot_use_is_refused(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"evaluate\.policies has no meaning here"):
        reproduce("table3", data, out=tmp_path, overrides={"evaluate": {"policies": ["fixed"]}})
    with pytest.raises(SettingsError, match="score has no meaning for table1"):
        reproduce("table1", data, out=tmp_path, scored=data, overrides=SMALL)
    bare = merge(SMALL, {"data": {"validation_fraction": 0}})
    with pytest.raises(DataError, match="table1 needs images that are not trained on"):
        reproduce("table1", data, out=tmp_path, overrides=bare)
    with pytest.raises(DataError, match="the image '3' has no label"):
        reproduce_figure("figure4", data, out=tmp_path, images=("3",), overrides=SMALL)
    assert not list(tmp_path.iterdir())


def test_maps_of_other_images_do_not_count(data: ImageSet, tmp_path: Path) -> None:
    """The label-free threshold is that of the scored images alone."""
    part = data.subset(range(6))
    alone = reproduce(
        "table3", data, out=tmp_path / "a", scored=part, only=("swtformer_v1",), overrides=SMALL
    )
    reproduce("table3", data, out=tmp_path / "b", only=("swtformer_v1",), overrides=SMALL)
    after = reproduce(
        "table3", data, out=tmp_path / "b", scored=part, only=("swtformer_v1",), overrides=SMALL
    )
    assert alone.rows[0].table is not None
    assert after.rows[0].table is not None
    assert after.rows[0].table.values == alone.rows[0].table.values


def test_a_refined_figure_and_the_run_of_another_row(data: ImageSet, tmp_path: Path) -> None:
    overrides = merge(SMALL, {"model": {"output_stride": 32}, "refine": {"method": "par"}})
    made = reproduce("table2", data, out=tmp_path, only=("irn", "sipe"), overrides=overrides)
    irn, sipe = made.rows
    assert irn.table is not None
    assert sipe.table is not None
    assert irn.full is not None
    assert irn.full.name == "IRN, Refined maps (argmax)"
    assert sipe.table.name == irn.table.name == "IRN, CAM (label-free threshold)"
    assert sipe.table.values == irn.table.values
    assert "refine.method par in place of irn" in irn.full.unlike
    differences = {sheet.name: sheet for sheet in sheets(made)}["differences"]
    assert len(differences.rows) == 3


def test_figure1_has_boxes_where_there_are_masks(data: ImageSet, tmp_path: Path) -> None:
    overrides = merge(SMALL, {"model": {"backbone": "swin_nano"}})
    picture = reproduce_figure("figure1", data, out=tmp_path, images=("2",), overrides=overrides)
    grid = np.asarray(Image.open(picture))
    assert (grid == RED).all(-1).any()


def test_figure4_takes_different_labels_first(data: ImageSet) -> None:
    """Images are red, green, both, none in turn."""
    assert varied([0, 1, 2, 4, 5], data) == [0, 1, 2, 4, 5]
    assert varied([0, 4, 8, 1, 5, 2], data) == [0, 1, 2, 4, 5, 8]
