"""Networks with the hub's mixin: what hub users call, and what they find."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, ModelHubMixin, constants
from swtformer.methods.classifier import Classifier
from swtformer.methods.swtformer import SWTformer

from support.hub import FakeHub
from support.models import CLASSES, tiny
from swtformer.errors import CheckpointError, SwtformerError
from swtformer.hub.model import HubModel
from swtformer.methods import Method
from swtformer.segmentation import SegmentationNetwork, create_network
from swtformer.settings import SegmentSettings
from swtformer.store.run import Run


def network() -> SegmentationNetwork:
    return create_network(SegmentSettings(decoder="segformer"), CLASSES, start=tiny("swtformer_v1")).eval()


KINDS = pytest.mark.parametrize(
    ("make", "loader"),
    [
        pytest.param(lambda: tiny("swtformer_v1"), Method, id="v1"),
        pytest.param(lambda: tiny("swtformer_v2"), Method, id="v2"),
        pytest.param(lambda: tiny("swtformer_v2"), SWTformer, id="v2 by its class"),
        pytest.param(network, SegmentationNetwork, id="segmentation"),
    ],
)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


@KINDS
def test_a_folder(make: Callable[[], HubModel], loader: type[HubModel], tmp_path: Path) -> None:
    made = make()
    assert made.save_pretrained(tmp_path / "farm") is None
    names = sorted(path.name for path in (tmp_path / "farm").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    loaded = loader.from_pretrained(tmp_path / "farm")
    assert type(loaded) is type(made)
    assert not loaded.training
    assert loaded.classes == CLASSES
    assert loaded.settings == made.settings
    assert same(loaded, made)


@KINDS
def test_the_hub(make: Callable[[], HubModel], loader: type[HubModel], hub: FakeHub) -> None:
    made = make()
    address = made.push_to_hub("anna/farm", private=True)
    assert address.startswith(f"{constants.ENDPOINT}/anna/farm/commit/")
    assert hub.private == {"anna/farm"}
    assert set(hub.files["anna/farm"]) == {"README.md", "config.json", "model.safetensors"}
    card = ModelCard(hub.files["anna/farm"]["README.md"].decode())
    assert card.data.library_name == "swtformer"
    assert "model_hub_mixin" in card.data.tags
    assert '("anna/farm")' in card.text  # the code that loads it
    assert "| 2 | dog |" in card.text
    loaded = loader.from_pretrained("anna/farm")
    assert type(loaded) is type(made)
    assert same(loaded, made)


def test_saved_and_published_in_one_call(run: Run, hub: FakeHub, tmp_path: Path) -> None:
    model = Method.from_pretrained(run.path)
    about = {"license": "mit", "run": run.path}
    model.save_pretrained(tmp_path, repo_id="anna/farm", push_to_hub=True, model_card_kwargs=about)
    card = (tmp_path / "README.md").read_bytes()
    assert b"license: mit" in card
    assert b"- fingerprint of the data: f1ngerpr1nt" in card
    assert hub.files["anna/farm"]["README.md"] == card


def test_a_card_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("by hand")
    tiny().save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "by hand"


def test_the_card_names_the_folder_where_the_hub_is_not_named(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "farm")
    assert 'from_pretrained("OWNER/farm")' in (tmp_path / "farm" / "README.md").read_text()


def test_a_licence_stays_with_its_card() -> None:
    assert "license: mit" in str(tiny().generate_model_card(license="mit"))
    assert "license" not in tiny().generate_model_card().data.to_dict()


def test_a_good_config_outlives_a_failed_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model.head.bias = torch.nn.Parameter(model.head.bias.to("meta"))  # has no values to write
    with pytest.raises(NotImplementedError, match="meta"):
        model.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_other_kind_is_refused(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path / "cam")
    network().save_pretrained(tmp_path / "network")
    with pytest.raises(
        CheckpointError, match=r"is no segmentation network: .* It is for Method\.from_pretrained"
    ):
        SegmentationNetwork.from_pretrained(tmp_path / "cam")
    with pytest.raises(CheckpointError, match=r"It is for SegmentationNetwork\.from_pretrained"):
        Method.from_pretrained(tmp_path / "network")


def test_another_method_is_refused(tmp_path: Path) -> None:
    tiny("swtformer_v2").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds the method SWTformer, no Classifier; Method\."):
        Classifier.from_pretrained(tmp_path)


def test_arguments_of_the_constructor_are_refused(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    with pytest.raises(TypeError, match="takes no classes, pooling: a saved network is rebuilt"):
        Method.from_pretrained(tmp_path, classes=("cat",), pooling="gap")


def test_what_the_hub_answers_is_one_clear_message(hub: FakeHub) -> None:
    with pytest.raises(SwtformerError, match="'farm' is no name on the hub: expected owner/name"):
        tiny().push_to_hub("farm")
    hub.hangs_up = True
    with pytest.raises(SwtformerError, match="anna/farm cannot be published: Server disconnected"):
        tiny().push_to_hub("anna/farm")
    hub.hangs_up, hub.denies = False, True
    with pytest.raises(SwtformerError, match=r"anna/farm cannot be published: .*401.* Log in with `hf auth"):
        tiny().push_to_hub("anna/farm")
    with pytest.raises(SwtformerError, match=r"anna/cows: is no folder here and cannot be downloaded .*404"):
        Method.from_pretrained("anna/cows")


def test_the_mixin_leaves_no_trace_in_a_network(tmp_path: Path) -> None:
    model = tiny()
    assert isinstance(model, ModelHubMixin)
    assert [name for name in vars(model) if "hub" in name] == []
    model.save_pretrained(tmp_path)
    assert set(json.loads((tmp_path / "config.json").read_text())) == {"format", "model", "classes"}
    assert [name for name in vars(Method.from_pretrained(tmp_path)) if "hub" in name] == []


def test_copies() -> None:
    model = tiny()
    assert same(copy.deepcopy(model), model)
    assert same(pickle.loads(pickle.dumps(model)), model)


def test_an_abstract_method_is_not_built() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Method(None, None, ())
