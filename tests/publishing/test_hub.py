"""To the hub and back, against a hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from support.hub import FakeHub
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.methods import Method
from swtformer.publishing.hub import pull, push
from swtformer.publishing.saved import find_model
from swtformer.run import Run

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    hub = FakeHub()
    for proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(proxy, "127.0.0.1")
    with hub.listening() as address:
        # Set by HF_ENDPOINT when the library is imported.
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield hub


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


@pytest.mark.parametrize("name", ["farm", "anna/farm/cows", "anna/", "../etc/x", "anna/fa rm"])
def test_names_that_are_none(name: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(SwtformerError, match="is no name on the hub"):
        push(run.path, name, dry_run=tmp_path / "farm")
    assert not (tmp_path / "farm").exists()
