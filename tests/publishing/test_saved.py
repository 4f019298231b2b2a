from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from swtformer.errors import CheckpointError
from swtformer.publishing.saved import find_model
from swtformer.store.run import Run


def test_a_run_stands_for_its_segmentation_network_if_it_has_one(run: Run, run_with_network: Run) -> None:
    alone, both = find_model(run.path), find_model(run_with_network.path)
    assert (alone.kind, alone.folder, alone.trained) == ("cam", run.model, run)
    assert (both.kind, both.folder) == ("segmentation", run_with_network.segmentation / "model")
    assert both.trained == Run(run_with_network.segmentation)
    assert find_model(run_with_network.path, "cam").folder == run_with_network.model


def test_the_newest_network_stands_for_a_run(run_with_network: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(run_with_network.path, tmp_path / "run")))
    later = Run(Path(shutil.copytree(copy.segmentation, copy.path / "segmentation-corrected")))
    later.update_environment(finished="2999-01-01")
    assert find_model(copy.path).trained == later
    assert find_model(copy.segmentation).trained == Run(copy.segmentation)


def test_a_model_folder_by_itself(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(run.model, folder)
    assert find_model(folder).trained is None
    assert find_model(folder).load().classes == run.classes()


def test_the_network_that_is_not_there(run: Run) -> None:
    with pytest.raises(CheckpointError, match="asked for comes from `swtformer segment`"):
        find_model(run.path, "segmentation")
    with pytest.raises(CheckpointError, match="does not exist"):
        find_model(run.path / "nothing")
