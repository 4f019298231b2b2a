"""To the hub and back, against a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from support.hub import FakeHub
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.hub.access import find_model
from swtformer.publishing.hub import pull, push
from swtformer.store.files import read_json, write_json
from swtformer.store.run import Run

NOWHERE = "http://127.0.0.1:9"


def test_there_and_back(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    assert push(run.path, "anna/farm", license="mit") == f"{constants.ENDPOINT}/anna/farm"
    assert set(hub.files["anna/farm"]) == {"README.md", "config.json", "model.safetensors"}
    assert hub.private == set()
    fetched = pull("anna/farm", tmp_path / "new" / "farm")
    assert fetched.kind == "cam"
    for file in ("config.json", "model.safetensors"):
        assert (fetched.folder / file).read_bytes() == (run.model / file).read_bytes()
    assert "license: mit" in (fetched.folder / "README.md").read_text()


def test_private_and_without_a_card(run_with_network: Run, hub: FakeHub, tmp_path: Path) -> None:
    push(run_with_network, "anna/farm", private=True)
    assert hub.private == {"anna/farm"}
    assert b"- fingerprint of the masks: m4sks" in hub.files["anna/farm"].pop("README.md")
    assert pull("anna/farm", tmp_path / "farm").kind == "segmentation"
    assert not (tmp_path / "farm" / "README.md").exists()


def test_a_dry_run_writes_what_would_be_published(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    config = read_json(run.model / "config.json")
    config["model"]["weights"] = "/home/anna/secret/swin.pth"
    model = tmp_path / "model"
    model.mkdir()
    write_json(model / "config.json", config)
    (model / "model.safetensors").symlink_to(run.model / "model.safetensors")
    folder = tmp_path / "farm"
    assert push(model, "anna/cows", dry_run=folder) == str(folder)
    assert push(model, "anna/farm", license="mit", dry_run=folder) == str(folder)
    assert find_model(folder).kind == "cam"
    card = (folder / "README.md").read_text()
    assert "license: mit" in card
    assert "anna/farm" in card
    assert "anna/cows" not in card
    assert b"secret" not in b"".join(path.read_bytes() for path in folder.iterdir())


def test_no_network(run: Run, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    with pytest.raises(SwtformerError, match=f"anna/farm cannot be published: {NOWHERE}") as caught:
        push(run.path, "anna/farm")
    assert caught.value.exit_code == 2
    with pytest.raises(SwtformerError, match="anna/farm cannot be fetched: "):
        pull("anna/farm", tmp_path / "farm")
    assert not (tmp_path / "farm").exists()


def test_a_hub_that_refuses(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    hub.denies = True
    with pytest.raises(SwtformerError, match=r"cannot be published: .*401.* Log in with `hf"):
        push(run.path, "anna/farm")
    with pytest.raises(SwtformerError, match=r"anna/nothing cannot be fetched: .*404"):
        pull("anna/nothing", tmp_path / "farm")


def test_what_is_not_a_model_of_ours_is_not_written(hub: FakeHub, tmp_path: Path) -> None:
    hub.files["anna/other"] = {"config.json": b'{"architectures": ["Bert"]}', "model.safetensors": b"x"}
    with pytest.raises(CheckpointError, match="not the config of a swtformer model"):
        pull("anna/other", tmp_path / "other")
    hub.files["anna/images"] = {"README.md": b"# Images"}
    with pytest.raises(CheckpointError, match=r"anna/images: holds no model"):
        pull("anna/images", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["farm", "anna/farm/cows", "anna/", "../etc/x", "anna/fa rm"])
def test_names_that_are_not_hub_ids(name: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match="is not a hub id: expected owner/name"):
        push(run.path, name, dry_run=tmp_path / "farm")
    assert not (tmp_path / "farm").exists()
