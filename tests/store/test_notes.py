"""Notes of stages: typed, checked, and left alone where they are not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.store.files import read_json, write_json
from swtformer.store.notes import (
    CorrectionNotes,
    DataNotes,
    MapNotes,
    network_notes,
    read_notes,
    training_notes,
    update_training_notes,
)
from swtformer.store.run import Run


def test_a_run_without_notes_knows_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert training_notes(run).data is None
    assert network_notes(run).rejected_ids == ()
    assert read_notes(run.maps_file, MapNotes) is None


def test_notes_come_back_as_they_were_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    part = CorrectionNotes(base=Path("masks"), count=2)
    update_training_notes(run, data=tmp_path, threads=2, checked="f", corrections=part)
    update_training_notes(run, resumed_anyway=("it rained",))
    notes = network_notes(run)
    assert (notes.data, notes.threads, notes.checked, notes.corrections) == (tmp_path, 2, "f", part)
    assert notes.resumed_anyway == ("it rained",)
    assert "torch" in notes.packages


def test_what_else_a_file_says_stays(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_json(run.environment_file, {"mine": 1})
    update_training_notes(run, seed=3)
    assert read_json(run.environment_file)["mine"] == 1
    with pytest.raises(TypeError, match="no field 'sead'"):
        update_training_notes(run, sead=3)


def test_damaged_notes_name_the_file_and_the_place(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_json(run.maps_file, {"made_by": "m", "scales": "all"})
    with pytest.raises(SwtformerError, match=r"maps\.json: scales: .*tuple"):
        read_notes(run.maps_file, MapNotes)
    assert read_notes(run.maps_file, DataNotes) == DataNotes()
