from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import CheckpointError
from swtformer.model_folders import CONFIG, holds_model, local_model_folder


def test_a_run_or_its_model_folder(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    assert not holds_model(tmp_path / "run")
    (model / CONFIG).write_text("{}")
    assert holds_model(tmp_path / "run")
    assert local_model_folder(tmp_path / "run") == model
    assert local_model_folder(str(model)) == model


def test_a_hub_id_is_not_looked_for_here() -> None:
    assert local_model_folder("farm/cows") is None


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no model \(config\.json is missing\)"):
        local_model_folder(tmp_path)
    (tmp_path / "model-7").mkdir()
    with pytest.raises(CheckpointError, match=r"does not exist\. Did you mean '.*model-7'\?"):
        local_model_folder(tmp_path / "model7")
