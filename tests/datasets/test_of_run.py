"""A run's data, opened again by the run's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.chain_data import draw_photos
from swtformer.datasets.of_run import open_data_of
from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.notes import DataNotes, training_notes, update_training_notes
from swtformer.store.run import Run


def test_the_data_of_a_training_and_of_another_result(tmp_path: Path) -> None:
    own, other = draw_photos(tmp_path / "own", count=4), draw_photos(tmp_path / "other", count=6)
    run = Run(tmp_path / "run")
    run.write_settings(Settings(data=DataSettings(classes=("dog", "cow", "cat"))))
    with pytest.raises(SwtformerError, match="does not know its data set"):
        open_data_of(run, training_notes(run))
    update_training_notes(run, data=own.resolve())
    opened = open_data_of(run, training_notes(run))
    assert (len(opened), opened.classes) == (4, ("dog", "cow", "cat"))
    assert len(open_data_of(run, DataNotes(data=other.resolve()))) == 6
