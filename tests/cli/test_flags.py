from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from swtformer.cli.flags import as_flags, gather, join_booleans, join_numbers, with_dashes, with_settings
from swtformer.errors import SettingsError
from swtformer.settings import DataSettings, LocalizeSettings, Settings, TrainSettings


@with_settings("seed", "train", "localize")
def command(data: Path, /, *, out: Path, **flags: Any) -> dict[str, Any]:
    return {"data": data, "out": out, **flags}


def test_every_field_becomes_a_keyword_only_flag() -> None:
    parameters = inspect.signature(command).parameters
    expected = {
        "seed",
        *(f"train__{name}" for name in TrainSettings.model_fields),
        *(f"localize__{name}" for name in LocalizeSettings.model_fields),
    }
    assert expected <= set(parameters)
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in expected)
    assert "flags" not in parameters


def test_every_flag_has_help() -> None:
    for section in Settings.model_fields.values():
        fields = getattr(section.annotation, "model_fields", {"": section})
        assert all(field.description for field in fields.values())


def test_command_receives_only_what_was_given() -> None:
    received = command(Path("d"), out=Path("o"), seed=None, train__epochs="3", verbose=True)
    assert received == {"data": Path("d"), "out": Path("o"), "train__epochs": "3"}


def test_precedence_defaults_base_file_flags(tmp_path: Path) -> None:
    base = Settings.model_validate({"train": {"epochs": 2, "batch_size": 3, "crop_px": 64}})
    config = tmp_path / "settings.yaml"
    config.write_text("train: {epochs: 20, batch_size: 30}\n")
    settings = gather(base=base, config=config, flags={"train__epochs": "200"})
    assert settings.train.epochs == 200
    assert settings.train.batch_size == 30
    assert settings.train.crop_px == 64
    assert settings.train.weight_decay == TrainSettings().weight_decay


def test_flags_that_make_one_section_another() -> None:
    base = DataSettings(split="train", classes=("cow",), exif="apply", strict=True)
    wanted = DataSettings(classes=("cat", "cow"), images=Path("/my photos"), exif="apply")
    flags = as_flags("data", dict(wanted), base=dict(base))
    assert flags == [
        *("--data.split", "none", "--data.classes", "cat,cow"),
        *("--data.images", str(wanted.images), "--data.strict", "false"),
    ]
    given = {name.removeprefix("--data."): text for name, text in zip(flags[::2], flags[1::2], strict=True)}
    found = gather(base=Settings(data=base), flags={f"data__{name}": text for name, text in given.items()})
    assert found.data == wanted
    assert as_flags("data", dict(base), base=dict(base)) == []
    assert as_flags("reader", {"nothing": ["good", "ok"], "rows": "image"}, base={"rows": "image"}) == [
        *("--reader.nothing", "good,ok"),
    ]


def test_a_default_in_the_file_overrides_the_base(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("train: {epochs: 30}\n")
    base = Settings.model_validate({"train": {"epochs": 2}})
    assert gather(base=base, config=config, flags={}).train.epochs == 30


@pytest.mark.parametrize(
    ("flag", "text", "expected"),
    [
        ("train__learning_rate", "1e-3", 1e-3),
        ("train__long_side_px", ["320,640"], (320, 640)),
        ("train__long_side_px", ["320", "640"], (320, 640)),
        ("train__long_side_px", ["none"], None),
        ("train__start_from", "none", None),
        ("train__start_from", "runs/v1", Path("runs/v1")),
        ("localize__scales", ["0.5, 1", "2"], (0.5, 1.0, 2.0)),
        ("localize__flip", False, False),
        ("model__weights", "none", "none"),
        ("data__split", "None", None),
        ("data__range", ["full"], "full"),
        ("data__range", ["-5,4095"], (-5.0, 4095.0)),
        ("data__bands", ["4,3,2"], (4, 3, 2)),
        ("data__bands", ["none"], None),
        ("data__classes", ["cat,dog"], ("cat", "dog")),
        ("evaluate__policies", ["argmax"], ("argmax",)),
    ],
)
def test_text_of_flags(flag: str, text: Any, expected: Any) -> None:
    section, name = flag.split("__")
    assert getattr(getattr(gather(flags={flag: text}), section), name) == expected


def test_seed_is_a_setting_of_its_own() -> None:
    assert gather(flags={"seed": "7"}).seed == 7


def test_all_wrong_flags_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"train\.epochs.*\n.*train\.keep.*Did you mean 'best'") as caught:
        gather(flags={"train__epochs": "0", "train__keep": "bets", "mask__policy": "best"})
    assert "mask.policy: 'best' is not one of" in str(caught.value)


def test_options_of_a_reader_are_checked_at_once_if_it_is_named() -> None:
    flags = {"reader": {"colour": "red"}}
    assert gather(flags=flags).reader == {"colour": "red"}  # which reader is found out from the data
    with pytest.raises(SettingsError, match=r"format 'coco'.*\n.*reader\.colour"):
        gather(flags={**flags, "data__format": "coco"})


@pytest.mark.parametrize("word", ["false", "False", "no", "0", "true"])
def test_words_after_boolean_flags_are_joined(word: str) -> None:
    before = ["localize", "run", "--localize.flip", word, "--resume", word, "data"]
    after = ["localize", "run", f"--localize.flip={word}", f"--resume={word}", "data"]
    assert join_booleans(before, also=["--resume"]) == after


def test_sections_are_spelled_with_hyphens_as_well() -> None:
    app = App()

    @app.command
    @with_settings("pseudo_label")
    def label(**flags: Any) -> dict[str, Any]:
        return flags

    for spelling in ("pseudo-label", "pseudo_label"):
        found, bound, _ = app.parse_args(["label", f"--{spelling}.margin", "0.3"], exit_on_error=False)
        assert found(*bound.args, **bound.kwargs) == {"pseudo_label__margin": "0.3"}
    assert gather(flags={"pseudo_label__margin": "0.3"}).pseudo_label.margin == 0.3


def test_other_words_stay() -> None:
    arguments = ["--strict", "data", "--data.split", "true", "--localize.flip", "--seed", "0", "false"]
    assert join_booleans(arguments) == arguments


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Name them in order with data.classes.", "Name them in order with --data.classes."),
        (
            "pseudo_label.margin and refiner.fit_workers 0",
            "--pseudo_label.margin and --refiner.fit_workers 0",
        ),
        (
            "Resume it with `resume`, or name another `out`.",
            "Resume it with --resume, or name another --out.",
        ),
        ("use --train.epochs 3", "use --train.epochs 3"),
        (
            "train.epochs_total, train.py and my.data.classes",
            "train.epochs_total, train.py and my.data.classes",
        ),
        ("/photos/data.classes: does not exist", "/photos/data.classes: does not exist"),
        ("settings.yaml:\n  train.epochs: too small", "settings.yaml:\n  train.epochs: too small"),
        ("unknown setting 'refiner.fit_worker'", "unknown setting 'refiner.fit_worker'"),
    ],
)
def test_messages_name_flags_on_the_command_line(message: str, shown: str) -> None:
    assert with_dashes(message) == shown


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("train d --data.range 0 4095 --out r", "train d --data.range 0,4095 --out r"),
        ("train --data.range -1024 3071 d", "train --data.range -1024,3071 d"),
        ("train --data.range auto 7 d", "train --data.range auto 7 d"),
        ("train --data.bands 4 3 2 d", "train --data.bands 4,3,2 d"),
        ("train --data.bands 4,3 2 d", "train --data.bands 4,3,2 d"),
        ("localize --localize.scales 1 run", "localize --localize.scales 1 run"),
        ("localize --localize.scales 0.5 1 run 7", "localize --localize.scales 0.5,1 run 7"),
        ("train --train.epochs 3 4", "train --train.epochs 3 4"),
        ("check 1 2 --data.classes 3 4", "check 1 2 --data.classes 3 4"),
        ("--data.range", "--data.range"),
    ],
)
def test_numbers_after_flags_of_several_are_joined(before: str, after: str) -> None:
    assert join_numbers(before.split()) == after.split()
