"""Models on disk: round trip, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from support.models import CLASSES, tiny
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods.pretrained import from_pretrained, save_pretrained
from swtformer.store.weights import load_weights, read_weights


@pytest.mark.parametrize("method", ["swtformer_v1", "swtformer_v2"])
def test_round_trip(method: str, tmp_path: Path, images: torch.Tensor, present: torch.Tensor) -> None:
    model = tiny(method)
    loaded = from_pretrained(save_pretrained(model, tmp_path / "model"))
    assert loaded.classes == CLASSES
    assert not loaded.training
    with torch.no_grad():
        torch.testing.assert_close(loaded(images, present)[0], model(images, present)[0], atol=0, rtol=0)
    assert from_pretrained(tmp_path).classes == CLASSES  # a run folder leads to its model


def test_no_pickle_is_written(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_truncated_weights(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file") as caught:
        from_pretrained(tmp_path)
    assert caught.value.exit_code == 4


def test_oversized_header(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
        from_pretrained(tmp_path)


def test_other_class_count_names_both_numbers(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["classes"] = ["cat", "dog"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"head\.bias is \(3,\) in the file and \(2,\)"):
        from_pretrained(tmp_path)


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    model = tiny("swtformer_v2")
    tensors = dict(tiny("swtformer_v1").state_dict())
    with pytest.raises(CheckpointError, match=r"tensors are missing, the first is fusion\."):
        load_weights(model, tensors, source=tmp_path)
    missing = load_weights(model, tensors, source=tmp_path, partly=True)
    assert all(name.startswith("fusion.") for name in missing)
    with pytest.raises(CheckpointError, match="1 tensor is unknown: extra"):
        load_weights(model, {**tensors, "extra": torch.zeros(1)}, source=tmp_path, partly=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "does not exist"), ("a/b/c", "does not exist")],
)
def test_nothing_there(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        from_pretrained(tmp_path / name)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no model"):
        from_pretrained(tmp_path)


def test_damaged_config(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    (tmp_path / "config.json").write_text('{"model": {"kernel": 4}, "classes": ["a"]}')
    with pytest.raises(CheckpointError, match="'format' is missing"):
        from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        from_pretrained(tmp_path)


def test_a_newer_format_is_refused_and_both_are_named(tmp_path: Path) -> None:
    save_pretrained(tiny(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": 2}))
    with pytest.raises(CheckpointError, match=r"has the format 2; .* reads format 1\.") as caught:
        from_pretrained(tmp_path)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "name", ["runs/frm", "frm", "./farm", "~/runs/farm", "other/runs/farm", "/nowhere/farm", "a b/c"]
)
def test_what_looks_like_a_path_is_never_asked_for_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "farm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", _never)
    with pytest.raises(CheckpointError, match=r"does not exist\.( Did you mean 'runs/farm'\?)?$") as caught:
        from_pretrained(name)
    assert ("Did you mean" in str(caught.value)) is (name == "runs/frm")


def test_a_hub_id_is_asked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub"
    save_pretrained(tiny(), hub)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: {"farm/cows": hub}[name])
    assert from_pretrained("farm/cows").classes == CLASSES


def test_no_network_is_one_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", _never)
    with pytest.raises(SwtformerError, match=r"^farm/cows: is not a folder .*: no network$") as caught:
        from_pretrained("farm/cows")
    assert caught.value.exit_code == 2


def _never(*_: object, **__: object) -> None:
    raise OSError("no network\nin this test")


def test_weights_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_weights(tmp_path / "model.safetensors")
