"""Networks on the hub: what hub users call, and what they find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import constants

from support.hub import FakeHub
from support.models import CLASSES, tiny
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.hub.model import HubModel
from swtformer.methods import METHODS, Method
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import SegmentSettings
from swtformer.store.run import Run


def network() -> SegmentationNetwork:
    return create_network(SegmentSettings(decoder="segformer"), CLASSES, start=tiny("swtformer_v1")).eval()


KINDS = pytest.mark.parametrize(
    ("made", "loader"),
    [
        pytest.param(lambda: tiny("swtformer_v1", norm="minmax"), Method, id="v1"),
        pytest.param(tiny, METHODS["swtformer_v2"], id="v2 by its class"),
        pytest.param(network, SegmentationNetwork, id="segmentation"),
    ],
)


def assert_same(loaded: Any, made: Any) -> None:
    assert type(loaded) is type(made)
    assert loaded.classes == CLASSES
    assert loaded.config() == made.config()
    torch.testing.assert_close(loaded.state_dict(), made.state_dict(), rtol=0, atol=0)


@KINDS
def test_a_folder(made: Any, loader: type[HubModel], tmp_path: Path) -> None:
    model = made()
    assert model.save_pretrained(tmp_path / "farm") == tmp_path / "farm"
    names = sorted(path.name for path in (tmp_path / "farm").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    loaded = loader.from_pretrained(tmp_path / "farm")
    assert not loaded.training
    assert_same(loaded, model)


@KINDS
def test_the_hub(made: Any, loader: type[HubModel], hub: FakeHub) -> None:
    model = made()
    address = model.push_to_hub("anna/farm", private=True, license="mit")
    assert address.startswith(f"{constants.ENDPOINT}/anna/farm/commit/")
    assert hub.private == {"anna/farm"}
    assert set(hub.files["anna/farm"]) == {"README.md", "config.json", "model.safetensors"}
    _, metadata, text = hub.files["anna/farm"]["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(metadata)["license"] == "mit"
    assert yaml.safe_load(metadata)["library_name"] == "swtformer"
    assert '("anna/farm")' in text  # the code that loads it
    assert_same(loader.from_pretrained("anna/farm"), model)


def test_a_card_of_the_named_run(run: Run, tmp_path: Path) -> None:
    Method.from_pretrained(run).save_pretrained(tmp_path, name="anna/farm", run=run)
    assert "- fingerprint of the data: f1ngerpr1nt" in (tmp_path / "README.md").read_text()


def test_an_existing_card_is_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("by hand")
    tiny().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "by hand"


def test_the_wrong_class_is_refused(tmp_path: Path) -> None:
    tiny("swtformer_v2").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="holds a model that makes maps"):
        SegmentationNetwork.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="holds the method SWTformerV2, not SWTformerV1"):
        METHODS["swtformer_v1"].from_pretrained(tmp_path)


def test_what_the_hub_answers_is_one_clear_message(hub: FakeHub) -> None:
    with pytest.raises(SwtformerError, match="'farm' is not a hub id: expected owner/name"):
        tiny().push_to_hub("farm")
    hub.denies = True
    with pytest.raises(SwtformerError, match=r"anna/farm cannot be published: .*401.* Log in"):
        tiny().push_to_hub("anna/farm")
