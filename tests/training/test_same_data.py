"""Which data a training may be gone on with, on files of facts alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from support.chain_data import draw_photos
from swtformer.datasets import open_dataset
from swtformer.datasets.records import ImageSet
from swtformer.errors import SettingsError
from swtformer.settings import DataSettings, Settings, TrainSettings
from swtformer.store.files import write_json
from swtformer.store.run import Run
from swtformer.training.same_data import (
    SAMPLED,
    changed_files,
    facts_of_data,
    fingerprint_with_files,
    for_this_call_only,
    require_same_data,
    require_unbroken,
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
    run.update_environment(**facts_of_data(data), threads=torch.get_num_threads())
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


def as_other_pictures(data: ImageSet, folder: Path, *, suffix: str) -> ImageSet:
    """The same names and labels, with other pixels in files that, of some types, have the same sizes."""
    folder.mkdir()
    noise = np.random.default_rng(len(folder.name))
    records = []
    for record in data.records:
        image = folder / f"{Path(record.id).name}{suffix}"
        Image.fromarray(noise.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(image)
        records.append(replace(record, image=image))
    return replace(data, records=tuple(records))


def test_the_same_data_may_have_moved(stopped: Run, data: ImageSet, tmp_path: Path) -> None:
    for same in (data, moved(data, tmp_path / "elsewhere")):
        assert changed_files(stopped, same) == "none"
        require_same_data(stopped, same)
        assert require_unbroken(stopped, OPTIONS, section="train", data=same) == []


def test_other_labels_are_other_data(stopped: Run, data: ImageSet) -> None:
    records = (replace(data.records[0], present=None), *data.records[1:])
    other = replace(data, records=records)
    assert "was trained on other images or labels (" in refused(stopped, other)
    finish(stopped)
    assert refused(stopped, other).endswith("Name another --out.")


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_other_photographs_of_the_same_names_and_labels_are_other_data(
    suffix: str, stopped: Run, data: ImageSet, tmp_path: Path
) -> None:
    """Wherever they lie: one table may serve two folders of images."""
    first = as_other_pictures(data, tmp_path / "first", suffix=suffix)
    other = as_other_pictures(data, tmp_path / "other one", suffix=suffix)
    stopped.update_environment(**facts_of_data(first))
    assert changed_files(stopped, first) == "none"
    assert changed_files(stopped, other) == "most"
    assert "was trained on other photographs of the same names and labels (" in refused(stopped, other)
    finish(stopped)
    assert refused(stopped, other).endswith("Name another --out.")
    assert fingerprint_with_files(first) != fingerprint_with_files(other)


@pytest.mark.parametrize("change", [lengthen, remove])
def test_a_file_that_changed_holds_up_an_unfinished_training_alone(
    stopped: Run, data: ImageSet, change: Callable[[ImageSet], None]
) -> None:
    change(data)
    require_same_data(stopped, data)
    with pytest.raises(SettingsError, match=r"files were replaced or removed, so .* --train\.resume_anyway"):
        require_unbroken(stopped, OPTIONS, section="train", data=data)
    passed = require_unbroken(stopped, ANYWAY, section="train", data=data)
    assert passed == ["image files were replaced or removed"]
    finish(stopped)
    require_same_data(stopped, data)
    assert require_unbroken(stopped, OPTIONS, section="train", data=data) == []


def test_mended_data_may_move(stopped: Run, data: ImageSet, tmp_path: Path) -> None:
    lengthen(data)
    mended = moved(data, tmp_path / "elsewhere")
    assert changed_files(stopped, mended) == "some"
    require_same_data(stopped, mended)


def test_of_many_files_some_are_looked_into_and_all_are_weighed(tmp_path: Path) -> None:
    many = open_dataset(draw_photos(tmp_path / "photos", count=3 * SAMPLED), DataSettings())
    run = Run(tmp_path / "run")
    facts = facts_of_data(many)
    run.update_environment(**facts)
    assert len(facts["files_sampled"]) == SAMPLED
    unseen = next(record for record in many.records if record.id not in facts["files_sampled"])
    with unseen.image.open("ab") as stream:
        stream.write(b"\0")
    assert changed_files(run, many) == "some"


def test_what_is_not_noted_or_has_no_weights_binds_nobody(
    stopped: Run, data: ImageSet, tmp_path: Path
) -> None:
    new = Run(tmp_path / "new")
    require_same_data(new, data)
    assert require_unbroken(new, OPTIONS, section="train", data=data) == []
    lengthen(data)
    write_json(stopped.environment_file, {"data": "elsewhere"})  # of an older version
    assert changed_files(stopped, data) == "unknown"
    require_same_data(stopped, data)
    assert require_unbroken(stopped, OPTIONS, section="train", data=data) == []


def test_another_number_of_threads_is_refused_unless_wanted(
    stopped: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert require_unbroken(stopped, OPTIONS, section="segment") == []
    known = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: known + 1)
    with pytest.raises(SettingsError, match=rf"there were {known} threads and are {known + 1}, so"):
        require_unbroken(stopped, OPTIONS, section="segment")
    with pytest.raises(SettingsError, match=rf"Set OMP_NUM_THREADS={known} .* --segment\.resume_anyway"):
        require_unbroken(stopped, OPTIONS, section="segment")
    passed = require_unbroken(stopped, ANYWAY, section="segment")
    assert passed == [f"there were {known} threads and are {known + 1}"]
    finish(stopped)
    assert require_unbroken(stopped, OPTIONS, section="segment") == []


def test_what_lets_one_call_go_on_is_not_kept() -> None:
    asked = Settings.model_validate({"train": {"resume_anyway": True}, "segment": {"resume_anyway": True}})
    assert for_this_call_only(asked) == Settings()
