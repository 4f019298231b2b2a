from __future__ import annotations

from pathlib import Path

import pytest

from swtformer.errors import SettingsError
from swtformer.settings import Settings, validate


def test_a_relative_path_of_data_is_made_absolute_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"data": {"images": "a", "masks": "b", "palette": "c"}}
    settings = validate(Settings, names, where="settings.yaml")
    found = (settings.data.images, settings.data.masks, settings.data.palette)
    assert found == tuple(tmp_path / name for name in "abc")


def test_what_shapes_results_stays_as_it_is_given() -> None:
    names = {"segment": {"masks": "d"}, "train": {"start_from": "anna/farm-animals"}}
    settings = validate(Settings, names, where="settings.yaml")
    assert (str(settings.segment.masks), str(settings.train.start_from)) == ("d", "anna/farm-animals")


def test_an_empty_path_is_not_the_current_folder() -> None:
    with pytest.raises(SettingsError, match=r"segment\.masks: expected a file or folder, got ''"):
        validate(Settings, {"segment": {"masks": ""}}, where="command line")
