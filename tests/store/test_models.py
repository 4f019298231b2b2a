from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from swtformer.errors import CheckpointError
from swtformer.settings import ImageSettings, MaskSettings
from swtformer.store.files import write_json
from swtformer.store.models import (
    CONFIG,
    WEIGHTS,
    finished_networks,
    holds_model,
    kind_of,
    local_model_folder,
    newest_network,
    saved_config,
    saved_images,
    saved_settings,
    write_model_folder,
)
from swtformer.store.run import Run


def test_a_run_or_its_model_folder(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    assert not holds_model(tmp_path / "run")
    (model / CONFIG).write_text("{}")
    assert holds_model(tmp_path / "run")
    assert local_model_folder(tmp_path / "run") == model
    assert local_model_folder(str(model)) == model


def test_the_newest_network_of_a_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert finished_networks(run) == []
    assert newest_network(run) is None
    times = {"segmentation": "2026-03-01", "segmentation-a": "2026-05-01", "segmentation-b": "2026-04-01"}
    for name, finished in times.items():
        write_json(tmp_path / name / "environment.json", {"finished": finished})
        write_json(tmp_path / name / "model" / CONFIG, {})
    write_json(tmp_path / "segmentation-c" / "environment.json", {"finished": None})
    write_json(tmp_path / "model" / CONFIG, {})
    names = [network.path.name for network in finished_networks(run)]
    assert names == ["segmentation", "segmentation-b", "segmentation-a"]
    assert newest_network(run) == Run(tmp_path / "segmentation-a")


def test_a_copy_of_a_network_does_not_take_its_place(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write_json(run.segmentation / "environment.json", {"finished": "2026-03-01"})
    write_json(run.segmentation / "model" / CONFIG, {})
    for name in ("segmentation-backup", "segmentation-a"):
        shutil.copytree(run.segmentation, tmp_path / name)
    assert newest_network(run) == Run(run.segmentation)


def test_a_hub_id_is_not_looked_for_here() -> None:
    assert local_model_folder("farm/cows") is None


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no model \(config\.json is missing\)"):
        local_model_folder(tmp_path)
    (tmp_path / "model-7").mkdir()
    with pytest.raises(CheckpointError, match=r"does not exist\. Did you mean '.*model-7'\?"):
        local_model_folder(tmp_path / "model7")


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, swtformer.store.models; print({'torch', 'safetensors'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A linear layer as a saved model, with settings of another section."""
    model = nn.Linear(2, 3)
    model.weight = nn.Parameter(torch.arange(6.0).view(2, 3).T)  # not contiguous, as safetensors needs it
    return write_model_folder(
        tmp_path / "new" / "folder",
        model,
        kind="cam",
        settings=MaskSettings(threshold=0.25),
        classes=("cat", "dog"),
        images=ImageSettings(range=(0, 4095)),
    )


def load(folder: Path) -> tuple[MaskSettings, tuple[str, ...]]:
    return saved_settings(folder, MaskSettings, kind="cam")


def test_what_is_written_is_read_back(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]
    assert load(folder) == (MaskSettings(threshold=0.25), ("cat", "dog"))
    assert saved_config(folder)["format"] == 1
    assert saved_images(folder) == ImageSettings(range=(0, 4095))
    assert torch.equal(load_file(folder / WEIGHTS)["weight"], torch.tensor([[0.0, 3], [1, 4], [2, 5]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"has the format 2; .* reads format 1\. Update swtformer"),
        ({"model": {"treshold": 1}}, r"holds values .*unknown setting 'model\.treshold'"),
        ({"model": None}, "holds values that cannot be used"),
        ({"classes": 3}, "holds values .* 'int' object is not iterable"),
    ],
)
def test_a_config_with_wrong_values(folder: Path, change: dict[str, object], message: str) -> None:
    (folder / CONFIG).write_text(json.dumps(saved_config(folder) | change))
    with pytest.raises(CheckpointError, match=rf"(?s)^{folder / CONFIG}: {message}"):
        load(folder)


@pytest.mark.parametrize("key", ["format", "model", "classes"])
def test_a_config_that_lacks_something(folder: Path, key: str) -> None:
    config = saved_config(folder)
    del config[key]
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"'{key}' is missing"):
        load(folder)


def test_the_kind_of_a_model(folder: Path) -> None:
    assert kind_of(folder) == "cam"
    (folder / CONFIG).write_text('{"network": {}}')
    assert kind_of(folder) == "segmentation"
    (folder / CONFIG).write_text('{"architectures": ["Bert"]}')
    with pytest.raises(CheckpointError, match="is not the config of a swtformer model"):
        kind_of(folder)


def test_a_config_that_is_not_an_object(folder: Path) -> None:
    (folder / CONFIG).write_text("[]")
    with pytest.raises(CheckpointError, match=r"config\.json: expected an object, got list\.$"):
        saved_config(folder)
    (folder / CONFIG).write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read as JSON"):
        saved_config(folder)
