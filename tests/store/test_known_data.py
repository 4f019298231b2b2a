from pathlib import Path

import pytest

from swtformer.errors import SwtformerError
from swtformer.settings import DataSettings, Settings
from swtformer.store.known_data import data_of, data_of_masks, settings_for
from swtformer.store.notes import DataNotes, update_training_notes, write_notes
from swtformer.store.run import Run

OWN = DataSettings(split="train", format="voc", exif="apply")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    for name in ("own", "other", "mapped"):
        (tmp_path / name).mkdir()
    run = Run(tmp_path / "run")
    run.write_settings(Settings(data=OWN))
    update_training_notes(run, data=tmp_path / "own", data_settings=OWN, reader={"year": 2012})
    return run


def test_the_data_of_a_result_is_opened_as_it_was_for_it(run: Run, tmp_path: Path) -> None:
    mapped = DataNotes(data=tmp_path / "own", data_settings=OWN.model_copy(update={"split": "val"}))
    path, settings = data_of(run, None, mapped)
    assert path == tmp_path / "own"
    assert (settings.data.split, settings.data.format, settings.reader) == ("val", "voc", {})
    _, settings = data_of(run, tmp_path / "own", DataNotes(data=tmp_path / "other"))
    assert (settings.data.split, settings.reader) == ("train", {"year": 2012})


def test_other_data_keep_what_is_not_about_places(run: Run, tmp_path: Path) -> None:
    path, settings = data_of(run, tmp_path / "other", DataNotes(data=tmp_path / "own", data_settings=OWN))
    assert path == tmp_path / "other"
    assert (settings.data.split, settings.data.format, settings.data.exif) == (None, "auto", "apply")


def test_the_data_of_a_training_from_python_has_the_settings_of_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_settings(Settings(data=OWN))
    update_training_notes(run, data=tmp_path)
    assert data_of(run, None, DataNotes(data=tmp_path))[1].data == OWN


def test_masks_lie_on_the_images_of_the_maps(run: Run, tmp_path: Path) -> None:
    assert data_of_masks(run, None)[0] == tmp_path / "own"
    val = OWN.model_copy(update={"split": "val"})
    write_notes(run.maps_file, DataNotes(data=tmp_path / "mapped", data_settings=val))
    path, settings = data_of_masks(run, None)
    assert (path, settings.data.split) == (tmp_path / "mapped", "val")
    assert data_of_masks(run, tmp_path / "other")[0] == tmp_path / "other"


def test_moved_data_keeps_its_settings_and_the_folders_below_it(run: Run, tmp_path: Path) -> None:
    own = OWN.model_copy(update={"images": tmp_path / "own" / "img", "masks": tmp_path / "mapped"})
    notes = DataNotes(data=tmp_path / "own", data_settings=own)
    (tmp_path / "own").rename(tmp_path / "new")
    with pytest.raises(SwtformerError, match="name its new place after the run"):
        data_of(run, None, notes)
    settings = data_of(run, tmp_path / "new", notes)[1].data
    assert (settings.split, settings.format) == ("train", "voc")
    assert (settings.images, settings.masks) == (tmp_path / "new" / "img", tmp_path / "mapped")


def test_a_run_that_knows_no_data(run: Run) -> None:
    with pytest.raises(SwtformerError, match="does not know its data set; name it after the run"):
        data_of(run, None, DataNotes())


def test_all_stages_follow_data_that_moved(run: Run, tmp_path: Path) -> None:
    own = OWN.model_copy(update={"images": tmp_path / "own" / "img", "masks": tmp_path / "mapped"})
    run.write_settings(Settings(data=own))
    assert settings_for(run, tmp_path / "other").data == own, "the data set is where it was"
    (tmp_path / "own").rename(tmp_path / "new")
    moved = settings_for(run, tmp_path / "new").data
    assert (moved.images, moved.masks) == (tmp_path / "new" / "img", tmp_path / "mapped")
    assert moved.split == "train"
