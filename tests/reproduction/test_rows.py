"""Rows of the paper's tables: every file is whole, and says how it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SettingsError
from swtformer.reproduction.rows import FOLDER, ORDER, TableName, read_row, read_rows, require_known, rows_of
from swtformer.settings import METHODS, REFINERS, shipped_configs
from swtformer.stages.reproduce.figure import FIGURE_ROWS

FILES = shipped_configs(FOLDER)

PAPER = {
    "table1": [95.62, 95.47, 96.49, 96.60],
    "table2": [48.00, 48.30, 47.43, 50.90, 50.10, 47.20, 48.51, 51.70, 49.84, 55.16],
    "table3": [49.84, 54.58, 55.16],
}
"""Figures as the paper prints them, from top to bottom."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_row_is_whole(path: Path) -> None:
    row = read_row(path)
    settings = row.settings({}, seed=3)
    assert settings.seed == 3
    assert settings.plugin_options("method") is not None
    assert settings.model.weights == "pretrained"
    text = path.read_text(encoding="utf-8")
    if path.stem == "seam_cam":
        assert "--only seam" in text
        return
    commands = [
        f"swtformer reproduce {table} VOCdevkit/VOC2012 --out runs/reproduce --only {path.stem}"
        for table, names in ORDER.items()
        if path.stem in names
    ]
    if path.stem.startswith("figure1"):
        commands = ["swtformer reproduce figure1 VOCdevkit/VOC2012 --out runs/reproduce"]
    assert any(command in text for command in commands)
    for column in ("table1", "table2", "table3", "full"):
        published = row.published(column)
        if published is None:
            continue
        made = row if published.row is None else read_rows([published.row])[0]
        method = METHODS[made.settings({}, seed=0).model.method]
        if published.maps in ("cam", "rcam"):
            assert published.maps in method.makes, column
        elif published.maps == "refined":
            assert made.settings({}, seed=0).refine.method in REFINERS


def test_every_file_is_a_row_of_a_table() -> None:
    named = {name for names in (*ORDER.values(), *FIGURE_ROWS.values()) for name in names}
    named |= {
        published.row
        for table in ORDER
        for row in rows_of(table)
        for published in (row.about.table2, row.about.full)
        if published is not None and published.row is not None
    }
    assert {path.stem for path in FILES} == named


@pytest.mark.parametrize("table", ORDER)
def test_figures_are_those_of_the_paper(table: TableName) -> None:
    found = [row.published(table) for row in rows_of(table)]
    values = [published.value for published in found if published is not None]
    assert values[: len(PAPER[table])] == PAPER[table]


def test_flags_stand_above_a_row() -> None:
    row = rows_of("table2", ("irn",))[0]
    settings = row.settings({"train": {"epochs": 2}}, seed=0)
    assert settings.train.epochs == 2
    assert settings.train.optimizer == "sgd"


def test_options_go_to_the_rows_that_have_them() -> None:
    flags = {"method": {"hff": "single"}, "refiner": {"fit_epochs": 1}}
    walked, refined = rows_of("table2", ("irn", "swtformer_v2"))
    assert walked.settings(flags, seed=0).refiner == {"fit_epochs": 1}
    assert walked.settings(flags, seed=0).method == {}
    assert refined.settings(flags, seed=0).refiner == {}
    assert refined.settings(flags, seed=0).method == {"kernel": 3, "hff": "single"}
    require_known([walked, refined], flags)
    with pytest.raises(
        SettingsError, match=r"No row has an option refiner\.fit_epoch\. Did you mean 'fit_epochs'"
    ):
        require_known([walked, refined], {"refiner": {"fit_epoch": 1}})


def test_an_unknown_row_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"table2 has no row 'seem'\. Did you mean 'seam'"):
        rows_of("table2", ("seem",))


def test_a_file_without_its_section_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("seed: 3\n")
    with pytest.raises(SettingsError, match="expected a section 'row:'"):
        read_row(file)
    file.write_text("row: {title: x, pretraining: y, tabel2: {}}\n")
    with pytest.raises(SettingsError, match="unknown setting 'tabel2'"):
        read_row(file)
