"""To the hub and back, against a hub on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from support.hub import FakeHub
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods import Method
from swtformer.publishing.hub import pull, push
from swtformer.publishing.saved import find_model
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run

NOWHERE = "http://127.0.0.1:9"


def test_there_and_back(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    made = push(run.path, "anna/farm", license="mit")
    assert made.place == f"{constants.ENDPOINT}/anna/farm"
    assert set(hub.files["anna/farm"]) == {"README.md", "config.json", "model.safetensors"}
    assert hub.private == set()
    fetched = pull("anna/farm", tmp_path / "new" / "farm")
    assert fetched.kind == "cam"
    for file in ("config.json", "model.safetensors"):
        assert (fetched.folder / file).read_bytes() == (run.model / file).read_bytes()
    assert "license: mit" in (fetched.folder / "README.md").read_text()
    ours, theirs = find_model(run.path).load(), fetched.load()
    assert isinstance(ours, Method)
    assert isinstance(theirs, Method)
    images = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(images).logits, ours.encode(images).logits)


def test_private_and_without_a_card(run_with_network: Run, hub: FakeHub, tmp_path: Path) -> None:
    push(run_with_network.path, "anna/farm", private=True)
    assert hub.private == {"anna/farm"}
    del hub.files["anna/farm"]["README.md"]
    assert pull("anna/farm", tmp_path / "farm").kind == "segmentation"
    assert not (tmp_path / "farm" / "README.md").exists()


def test_a_dry_run_writes_what_would_be_published(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    made = push(run.path, "anna/farm", dry_run=tmp_path / "farm")
    assert sorted(path.name for path in (tmp_path / "farm").iterdir()) == sorted(made.files)
    assert find_model(tmp_path / "farm").load().classes == run.classes()


def test_a_dry_run_replaces_an_older_card(run: Run, tmp_path: Path) -> None:
    push(run.path, "anna/farm", dry_run=tmp_path)
    push(run.path, "anna/cows", license="mit", dry_run=tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "license: mit" in card
    assert "anna/cows" in card


def test_the_card_comes_from_the_run(run_with_network: Run, hub: FakeHub) -> None:
    push(run_with_network.path, "anna/farm")
    assert b"- fingerprint of the masks: m4sks" in hub.files["anna/farm"]["README.md"]
    push(run_with_network.path, "anna/maps", network="cam")
    assert b"- fingerprint of the data: f1ngerpr1nt" in hub.files["anna/maps"]["README.md"]


def test_no_path_of_this_machine_is_published(run: Run, tmp_path: Path) -> None:
    config = read_json(run.model / "config.json")
    config["model"]["weights"] = "/home/anna/secret/swin.pth"
    model = tmp_path / "model"
    shutil.copytree(run.model, model)
    write_json(model / "config.json", config)
    push(model, "anna/farm", dry_run=tmp_path / "farm")
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "farm").iterdir())


def test_no_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    with pytest.raises(
        SwtformerError, match=f"anna/farm cannot be published: {NOWHERE} cannot be reached"
    ) as caught:
        push(run.path, "anna/farm")
    assert caught.value.exit_code == 2
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SwtformerError, match=r"anna/farm cannot be fetched: .* cannot be reached"):
        pull("anna/farm", tmp_path / "farm")
    assert not (tmp_path / "farm").exists()


def test_a_hub_that_refuses(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    hub.denies = True
    with pytest.raises(SwtformerError, match=r"cannot be published: .*401.* Log in with `hf auth login`"):
        push(run.path, "anna/farm")
    with pytest.raises(SwtformerError, match=r"anna/nothing cannot be fetched: .*404"):
        pull("anna/nothing", tmp_path / "farm")


def test_what_is_no_model_of_ours_is_not_written(hub: FakeHub, tmp_path: Path) -> None:
    hub.files["anna/other"] = {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"x"}
    with pytest.raises(CheckpointError, match="is no swtformer model config"):
        pull("anna/other", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    hub.files["anna/images"] = {"README.md": b"# Images"}
    with pytest.raises(CheckpointError, match=r"anna/images: holds no model \(config\.json is missing\)"):
        pull("anna/images", tmp_path / "other")


@pytest.mark.parametrize("name", ["farm", "anna/farm/cows", "anna/", "../etc/x", "anna/fa rm"])
def test_names_that_are_none(name: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match="is no name on the hub"):
        push(run.path, name, dry_run=tmp_path / "farm")
    assert not (tmp_path / "farm").exists()
