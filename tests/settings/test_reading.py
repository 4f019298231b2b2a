from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from swtformer.errors import SettingsError
from swtformer.settings import (
    LocalizeSettings,
    Settings,
    TrainSettings,
    dump_settings,
    merge,
    read_settings,
    validate,
)


def write(folder: Path, text: str) -> Path:
    file = folder / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_dump_and_read_give_the_same_settings(tmp_path: Path) -> None:
    settings = Settings(
        seed=5,
        train=TrainSettings(long_side_px=(320, 640), start_from=Path("runs/v1"), learning_rate=6e-5),
        localize=LocalizeSettings(scales=(0.5, 1.0), flip=False),
    )
    values = read_settings(write(tmp_path, dump_settings(settings)))
    assert validate(Settings, values, where="file") == settings


def test_a_file_gives_only_the_values_that_it_holds(tmp_path: Path) -> None:
    file = write(tmp_path, "train:\n  epochs: 30\n  learning_rate: 1e-3\nmask: {}\n")
    assert read_settings(file) == {"train": {"epochs": 30, "learning_rate": 1e-3}, "mask": {}}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_gives_nothing(tmp_path: Path, text: str) -> None:
    assert read_settings(write(tmp_path, text)) == {}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"\xef\xbb\xbfseed: 3\r\ntrain:\r\n  epochs: 2\r\n")
    assert read_settings(file) == {"seed": 3, "train": {"epochs": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected sections such as 'train:', got list"),
        ("train: [1\n", "is not valid YAML"),
        ("seed: 1\nseed: 2\n", r"line 2: 'seed' is given twice"),
        ("train:\n  epochs: 1\n  epochs: 2\n", r"line 3: 'epochs' is given twice"),
        ("!!python/object/apply:os.getcwd []\n", "is not valid YAML"),
        ("train: 5\n", "train: input should be a valid dictionary.*got 5"),
        ("sead: 1\n", r"unknown setting 'sead'\. Did you mean 'seed'\?"),
        ("train: {epohcs: 1}\n", r"unknown setting 'train\.epohcs'\. Did you mean 'epochs'\?"),
        ("train: {zzz: 1}\n", r"unknown setting 'train\.zzz'\. Known: accelerator, accumulate"),
        ("model: {bands: 1000000000}\n", r"model\.bands: .*less than or equal to 4096"),
        (
            "model: {method: swtformer_v9}\n",
            r"model\.method: Unknown method 'swtformer_v9'\. Did you mean 'swtf",
        ),
        ("mask: {policy: argmin}\n", r"mask\.policy: 'argmin' is not one of .* Did you mean 'argmax'"),
        ("data: {split: no}\n", r"data\.split: input should be a valid string, got False"),
        (
            "localize: {scales: [1, 0]}\n",
            r"localize\.scales \(item 2\): input should be greater than 0, got 0$",
        ),
        ("train: {long_side_px: [320]}\n", r"train\.long_side_px \(item 2\): field required"),
        ("1: 2\n", "keys should be strings"),
    ],
)
def test_mistakes_of_a_file(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings(file)
    assert str(caught.value).startswith(f"{file}:")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
        read_settings(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        read_settings(file)


def test_all_mistakes_are_listed_at_once() -> None:
    values = {"trian": {}, "train": {"epochs": 0, "keep": "bets"}, "model": {"backbone": 3}}
    with pytest.raises(SettingsError, match="here:\n") as caught:
        validate(Settings, values, where="here")
    assert len(str(caught.value).splitlines()) == 5


def test_a_section_is_validated_alone() -> None:
    assert validate(LocalizeSettings, {"stride": 8}, where="here").stride == 8
    with pytest.raises(SettingsError, match=r"unknown setting 'strid'\. Did you mean 'stride'\?"):
        validate(LocalizeSettings, {"strid": 8}, where="here")


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]) -> None:
    before = yaml.safe_dump(base)
    assert merge(base, over) == merged
    assert yaml.safe_dump(base) == before
