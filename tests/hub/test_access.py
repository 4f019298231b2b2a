from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from support.hub import FakeHub
from swtformer.errors import SwtformerError
from swtformer.hub.access import check_name, check_reachable, download, hub_errors, model_folder

FILES = {"config.json": b"{}", "model.safetensors": b"x", "README.md": b"# Farm", "training.bin": b"large"}


def test_only_the_files_of_a_model_are_downloaded(hub: FakeHub) -> None:
    hub.files["anna/farm"] = dict(FILES)
    folder = download("anna/farm")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    hub.files["anna/farm"]["config.json"] = b"[]"
    assert model_folder("anna/farm", local_files_only=True) == folder
    assert (folder / "config.json").read_bytes() == b"{}"


def test_an_unknown_name_is_one_clear_message(hub: FakeHub) -> None:
    message = r"^anna/cows: is no folder here and cannot be downloaded from the hub: 404"
    with pytest.raises(SwtformerError, match=message):
        model_folder("anna/cows")


def test_a_folder_is_taken_as_it_is(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files["anna/farm"] = dict(FILES)
    (tmp_path / "anna/farm").mkdir(parents=True)
    (tmp_path / "anna/farm/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert model_folder("anna/farm") == Path("anna/farm")


def test_names() -> None:
    check_name("anna/farm")
    with pytest.raises(SwtformerError, match="'farm' is no name on the hub: expected owner/name"):
        check_name("farm")
    with pytest.raises(SwtformerError, match="'anna/fa rm' is no name on the hub: Repo id must"):
        check_name("anna/fa rm")


def test_whether_the_hub_answers(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    check_reachable("it cannot be done")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SwtformerError, match=r"^it cannot be done: http.* cannot be reached"):
        check_reachable("it cannot be done")


@pytest.mark.parametrize(
    ("error", "told"), [(OSError("disk full\nand more"), "disk full"), (TimeoutError(), "TimeoutError")]
)
def test_one_line_of_a_failure_is_told(error: OSError, told: str) -> None:
    with pytest.raises(SwtformerError, match=f"^not done: {told}$"), hub_errors("not done"):
        raise error
