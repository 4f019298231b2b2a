"""What a training may be resumed with, on notes alone."""

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
from swtformer.settings import DataSettings, Settings, TrainSettings
from swtformer.store.files import write_json
from swtformer.store.notes import training_notes, update_training_notes
from swtformer.store.run import Run
from swtformer.training.resume import (
    changed_files,
    changed_threads,
    file_sizes,
    notes_of_data,
    require_same_data,
    require_unchanged,
    stored,
)

OPTIONS = TrainSettings(accelerator="cpu")
ANYWAY = OPTIONS.model_copy(update={"resume_anyway": True})


@pytest.fixture
def data(tmp_path: Path) -> ImageSet:
    return open_dataset(draw_photos(tmp_path / "photos", count=6), DataSettings())


@pytest.fixture
def stopped(tmp_path: Path, data: ImageSet) -> Run:
    """A training that stopped after its first epoch."""
    run = Run(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    (run.checkpoints / "epoch-0001.ckpt").touch()
    update_training_notes(run, **notes_of_data(data), threads=torch.get_num_threads())
    return run


def finish(run: Run) -> None:
    write_json(run.model / "config.json", {})


def refused(run: Run, data: ImageSet) -> str:
    with pytest.raises(SettingsError) as caught:
        require_same_data(run, data)
    return str(caught.value)


def moved(data: ImageSet, to: Path) -> ImageSet:
    shutil.copytree(data.root.parent, to)
    return open_dataset(to / data.root.name, DataSettings())


def lengthen(data: ImageSet) -> None:
    with data.records[1].image.open("ab") as stream:
        stream.write(b"\0")


def remove(data: ImageSet) -> None:
    data.records[0].image.unlink()


def test_data_may_have_moved(stopped: Run, data: ImageSet, tmp_path: Path) -> None:
    for same in (data, moved(data, tmp_path / "elsewhere")):
        require_same_data(stopped, same)
        assert changed_files(stopped, same) == []


def test_other_labels_are_other_data(stopped: Run, data: ImageSet) -> None:
    records = (replace(data.records[0], present=None), *data.records[1:])
    other = replace(data, records=records)
    assert "was trained on other images or labels (" in refused(stopped, other)
    finish(stopped)
    assert refused(stopped, other).endswith("Name another `out`.")


@pytest.mark.parametrize("change", [lengthen, remove])
def test_files_that_changed_are_reported(
    stopped: Run, data: ImageSet, change: Callable[[ImageSet], None]
) -> None:
    before = file_sizes(data)
    change(data)
    require_same_data(stopped, data)
    assert changed_files(stopped, data) == ["image files were replaced or removed"]
    update_training_notes(stopped, file_sizes=file_sizes(data))
    assert changed_files(stopped, data) == []
    assert training_notes(stopped).file_sizes != before


def test_another_number_of_threads_is_a_change_on_a_cpu(
    stopped: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = torch.get_num_threads()
    assert changed_threads(stopped, OPTIONS) == []
    monkeypatch.setattr(torch, "get_num_threads", lambda: known + 1)
    (change,) = changed_threads(stopped, OPTIONS)
    assert f"from {known} to {known + 1} (OMP_NUM_THREADS={known}" in change
    finish(stopped)
    assert changed_threads(stopped, OPTIONS) == []


def test_before_the_first_checkpoint_nothing_counts(tmp_path: Path, data: ImageSet) -> None:
    run = Run(tmp_path / "new")
    update_training_notes(run, data_fingerprint="other", file_sizes="other", threads=99)
    require_same_data(run, data)
    assert changed_files(run, data) == changed_threads(run, OPTIONS) == []


def test_changes_are_refused_unless_overridden(stopped: Run) -> None:
    require_unchanged(stopped, [], OPTIONS, section="train")
    require_unchanged(stopped, ["it rained"], ANYWAY, section="train")
    with pytest.raises(SettingsError, match=r"it rained and it froze\. .*segment\.resume_anyway"):
        require_unchanged(stopped, ["it rained", "it froze"], OPTIONS, section="segment")


def test_resume_anyway_applies_to_one_call() -> None:
    asked = Settings.model_validate({"train": {"resume_anyway": True}, "segment": {"resume_anyway": True}})
    assert stored(asked) == Settings()
