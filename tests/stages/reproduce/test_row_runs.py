"""Runs of rows: weights, options of their maps, and what counts in a threshold."""

from __future__ import annotations

from pathlib import Path

from support.small_rows import SMALL
from swtformer.datasets.records import ImageSet
from swtformer.reproduction.sheets import sheets
from swtformer.settings import merge
from swtformer.stages.reproduce import reproduce
from swtformer.stages.reproduce.row_runs import weights_in


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
