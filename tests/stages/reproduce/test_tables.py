"""Tables of the paper on small images: what is trained, kept, scored, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.small_rows import SMALL
from swtformer.datasets.records import ImageSet
from swtformer.errors import DataError, SettingsError, SwtformerError
from swtformer.reproduction.sheets import sheets
from swtformer.settings import merge
from swtformer.stages.reproduce import reproduce, reproduce_figure
from swtformer.store.run import Run
from swtformer.store.scores import read_scores


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
        assert row.table.areas is not None
        assert row.table.areas.shape == (2, 12, 3, 3)
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
    assert measured.areas is None
    assert 0 <= measured.values[0] <= 1
    assert "a held-out part of the training images" in measured.unlike[0]
    assert [sheet.name for sheet in sheets(made)] == [""]


def test_what_cannot_be_made_is_refused_before_any_training(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"table3 has no row 'swtformer_v4'\. Did you mean"):
        reproduce("table3", data, out=tmp_path, only=("swtformer_v4",), overrides=SMALL)
    with pytest.raises(SettingsError, match=r"No row has an option method\.kernl\. Did you mean 'kernel'"):
        reproduce("table3", data, out=tmp_path, overrides=merge(SMALL, {"method": {"kernl": 1}}))
    with pytest.raises(SettingsError, match=r"seeds: expected at least one, each once, got \[1, 1\]"):
        reproduce("table3", data, out=tmp_path, seeds=(1, 1), overrides=SMALL)
    bare = replace(data, records=tuple(replace(record, mask=None) for record in data.records))
    with pytest.raises(DataError, match=r"no masks to score against.*data\.masks"):
        reproduce("table3", bare, out=tmp_path, overrides=SMALL)
    assert not list(tmp_path.iterdir())


def test_networks_that_cannot_be_had_are_told_before_any_training(data: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match=r"'mctformer_v1' takes a plain vision transformer"):
        reproduce("table2", data, out=tmp_path, only=("mctformer_v1", "swtformer_v1"), overrides=SMALL)
    with pytest.raises(SettingsError, match="nowhere is not a folder"):
        reproduce("table2", data, out=tmp_path, only=("psa",), weights=tmp_path / "nowhere", overrides={})
    assert not list(tmp_path.iterdir())


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
