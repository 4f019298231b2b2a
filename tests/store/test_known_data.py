from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.files import write_json
from swtformer.store.known_data import data_of, data_of_masks
from swtformer.store.notes import DataNotes, update_training_notes
from swtformer.store.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    run.write_settings(Settings(data=DataSettings(split="train", format="voc", exif="apply")))
    update_training_notes(run, data=str(tmp_path / "own"))
    return run


def test_the_runs_own_data_keep_its_settings(run: Run, tmp_path: Path) -> None:
    path, settings = data_of(run, None, DataNotes(data=tmp_path / "own", split="val"))
    assert path == tmp_path / "own"
    assert (settings.data.split, settings.data.format) == ("val", "voc")


def test_other_data_keep_what_is_not_about_places(run: Run, tmp_path: Path) -> None:
    path, settings = data_of(run, tmp_path / "other", DataNotes(data=tmp_path / "own", split="val"))
    assert path == tmp_path / "other"
    assert (settings.data.split, settings.data.format, settings.data.exif) == (None, "auto", "apply")


def test_masks_lie_on_the_images_of_the_maps(run: Run, tmp_path: Path) -> None:
    assert data_of_masks(run, None)[0] == tmp_path / "own"
    write_json(run.maps_file, {"data": str(tmp_path / "mapped"), "split": "val"})
    path, settings = data_of_masks(run, None)
    assert (path, settings.data.split) == (tmp_path / "mapped", "val")
    assert data_of_masks(run, tmp_path / "moved")[0] == tmp_path / "moved"


def test_a_run_that_knows_no_data(run: Run) -> None:
    with pytest.raises(SwtformerError, match="does not know its data set; name it after the run"):
        data_of(run, None, DataNotes())
