from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.hub import FakeHub
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.hub.access import find_model, hub_errors
from swtformer.store.notes import update_training_notes
from swtformer.store.run import Run


def test_a_runs_network_if_it_has_one(run: Run, run_with_network: Run) -> None:
    alone, both = find_model(run), find_model(run_with_network.path)
    assert (alone.kind, alone.folder, alone.trained) == ("cam", run.model, run)
    assert (both.kind, both.folder) == ("segmentation", run_with_network.segmentation / "model")
    assert both.trained == Run(run_with_network.segmentation)
    assert find_model(run_with_network.path, "cam").folder == run_with_network.model


def test_the_newest_network_of_a_run(run_with_network: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(run_with_network.path, tmp_path / "run")))
    later = Run(Path(shutil.copytree(copy.segmentation, copy.path / "segmentation-corrected")))
    update_training_notes(later, finished="2999-01-01")
    assert find_model(copy.path).trained == later
    assert find_model(copy.segmentation).trained == Run(copy.segmentation)


def test_a_model_folder_by_itself(run: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run.model, tmp_path / "elsewhere"))
    assert find_model(folder).folder == folder
    assert find_model(folder).trained is None


def test_a_model_of_the_other_kind_is_refused(run: Run, run_with_network: Run) -> None:
    with pytest.raises(CheckpointError, match=r"not a segmentation network \(from `swtformer segment`\)"):
        find_model(run.path, "segmentation")
    with pytest.raises(
        CheckpointError, match=r"holds a segmentation network .*, not a model that makes maps"
    ):
        find_model(run_with_network.segmentation, "cam")
    with pytest.raises(CheckpointError, match="does not exist"):
        find_model(run.path / "nothing")


def test_the_files_of_a_model_are_downloaded(run: Run, hub: FakeHub) -> None:
    config = (run.model / "config.json").read_bytes()
    files = {
        "config.json": config,
        "model.safetensors": b"x",
        "README.md": b"# Farm",
        "training.bin": b"large",
    }
    hub.files["anna/farm"] = files
    folder = find_model("anna/farm").folder
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    files["config.json"] = b"{}"
    assert find_model("anna/farm", local_files_only=True).folder == folder
    assert (folder / "config.json").read_bytes() == config
    with pytest.raises(SwtformerError, match=r"^anna/cows: is not a folder .* the hub: 404"):
        find_model("anna/cows")


def test_an_unknown_option_is_refused_for_folders_too(run: Run) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'classes'"):
        find_model(run, classes=("cat",))


@pytest.mark.parametrize(
    ("error", "reason"), [(OSError("disk full\nand more"), "disk full"), (TimeoutError(), "TimeoutError")]
)
def test_one_line_of_a_failure_is_reported(error: OSError, reason: str) -> None:
    with pytest.raises(SwtformerError, match=f"^not done: {reason}$"), hub_errors("not done"):
        raise error
