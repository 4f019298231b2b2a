"""Which data a training may be gone on with, on files of facts alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.chain_data import draw_photos
from swtformer.datasets import open_dataset
from swtformer.datasets.records import ImageSet
from swtformer.errors import SettingsError
from swtformer.files import write_json
from swtformer.run import Run
from swtformer.settings import DataSettings, TrainSettings
from swtformer.stages.same_data import (
    facts_of_data,
    has_changed_files,
    require_same_data,
    require_same_threads,
)

OPTIONS = TrainSettings(accelerator="cpu")
ANYWAY = OPTIONS.model_copy(update={"resume_anyway": True})


@pytest.fixture
def data(tmp_path: Path) -> ImageSet:
    return open_dataset(draw_photos(tmp_path / "photos", count=4), DataSettings())


@pytest.fixture
def stopped(tmp_path: Path, data: ImageSet) -> Run:
    """A training that stopped after its first epoch."""
    run = Run(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / "epoch-0001.ckpt").touch()
    run.update_environment(**facts_of_data(data), threads=torch.get_num_threads())
    return run


def finish(run: Run) -> None:
    write_json(run.model / "config.json", {})


def refused(run: Run, data: ImageSet, options: TrainSettings = OPTIONS) -> str:
    with pytest.raises(SettingsError) as caught:
        require_same_data(run, data, options, section="train")
    return str(caught.value)


def moved(data: ImageSet, to: Path) -> ImageSet:
    shutil.copytree(data.root.parent, to)
    return open_dataset(to / data.root.name, DataSettings())


def replace_photo(data: ImageSet) -> None:
    with data.records[1].image.open("ab") as stream:
        stream.write(b"\0")


def test_the_same_data_may_have_moved(stopped: Run, data: ImageSet, tmp_path: Path) -> None:
    for same in (data, moved(data, tmp_path / "elsewhere")):
        assert not has_changed_files(stopped, same)
        require_same_data(stopped, same, OPTIONS, section="train")


def test_other_labels_are_other_data(stopped: Run, data: ImageSet) -> None:
    records = (replace(data.records[0], present=None), *data.records[1:])
    other = replace(data, records=records)
    for options in (OPTIONS, ANYWAY):
        assert "was trained on other images or labels (" in refused(stopped, other, options)
    finish(stopped)
    assert refused(stopped, other).endswith("Name another --out.")


def test_other_photographs_of_the_same_names_and_labels_are_other_data(
    stopped: Run, data: ImageSet, tmp_path: Path
) -> None:
    other = moved(data, tmp_path / "other")
    replace_photo(other)
    assert has_changed_files(stopped, other)
    for options in (OPTIONS, ANYWAY):
        assert "was trained on other photographs of the same names and labels" in refused(
            stopped, other, options
        )
    finish(stopped)
    assert f"now {other.name}: {other.root}" in refused(stopped, other)


@pytest.mark.parametrize("change", [replace_photo, lambda data: data.records[0].image.unlink()])
def test_a_file_that_changed_in_its_place_holds_up_an_unfinished_training_alone(
    stopped: Run, data: ImageSet, change: Callable[[ImageSet], None]
) -> None:
    change(data)
    assert "Start a new run, or go on by --train.resume_anyway." in refused(stopped, data)
    require_same_data(stopped, data, ANYWAY, section="train")
    finish(stopped)
    require_same_data(stopped, data, OPTIONS, section="train")


def test_what_is_not_noted_or_has_no_weights_binds_nobody(
    stopped: Run, data: ImageSet, tmp_path: Path
) -> None:
    replace_photo(data)
    require_same_data(Run(tmp_path / "new"), data, OPTIONS, section="train")
    write_json(stopped.environment_file, {"data": "elsewhere"})  # of an older version
    assert not has_changed_files(stopped, data)
    require_same_data(stopped, data, OPTIONS, section="train")
    require_same_threads(stopped, OPTIONS, section="train")


def test_another_number_of_threads_is_refused_unless_wanted(
    stopped: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_same_threads(stopped, OPTIONS, section="segment")
    known = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: known + 1)
    with pytest.raises(SettingsError, match=rf"was begun with {known} threads, there are {known + 1} now"):
        require_same_threads(stopped, OPTIONS, section="segment")
    with pytest.raises(SettingsError, match=rf"Set OMP_NUM_THREADS={known}, or .* --segment\.resume_anyway"):
        require_same_threads(stopped, OPTIONS, section="segment")
    require_same_threads(stopped, ANYWAY, section="segment")
    finish(stopped)
    require_same_threads(stopped, OPTIONS, section="segment")
